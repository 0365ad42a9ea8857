"""The tests' own browser: what a page must not do fails its test."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from browsing import Faults, watched

POLICY = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; script-src 'self'\">"
WRONG = {
    "console: .*spoken": "<script>console.error('it is spoken')</script>",
    "thrown: .*no such thing": "<script>throw new Error('no such thing')</script>",
    "thrown: .*unkept": "<script>Promise.reject(new Error('unkept'))</script>",
    "console: .*Content Security Policy": f"{POLICY}<script>1</script>",
    "console: .*404": "<img src=/absent.png>",
    "asked: http://example.org/x": "<img src=http://example.org/x>",
    "asked: https://localhost": "<iframe src=https://localhost:1></iframe>",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that is served, and its address."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "favicon.ico").touch()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.mark.parametrize(("fault", "html"), WRONG.items())
def test_fault_of_a_page_fails_its_test(site, browser, fault, html):
    folder, url = site
    (folder / "wrong.html").write_text(html)
    faults = Faults()
    with watched(browser, faults) as page:
        page.goto(f"{url}/wrong.html")
    with pytest.raises(AssertionError, match=fault):
        faults.check()
    faults.expect(fault)


def test_page_without_fault_passes_and_no_fault_may_be_expected(site, browser):
    folder, url = site
    (folder / "right.html").write_text(
        "<script>console.log('fine')</script><img src=data:image/gif;base64,R0lG>"
    )
    faults = Faults()
    with watched(browser, faults) as page:
        page.goto(f"{url}/right.html")
    faults.check()
    with pytest.raises(AssertionError, match="no fault says"):
        faults.expect(".")
