"""What a real browser makes of what it is served."""

import pytest

from chromium import Chromium
from runmaker import make_run
from viewing import showing

ASK = """new Promise((done) => {
  const frame = document.createElement('iframe');
  frame.setAttribute('sandbox', 'allow-scripts');
  frame.src = 'web/frame.html';
  addEventListener('message', (event) => {
    if (event.data === 'ready') frame.contentWindow.postMessage(%r, '*');
    else done(event.data);
  });
  document.body.append(frame);
})"""
CURIOUS = """<p>the run's own</p><script>
const said = [origin, eval('1 + 1')];
try { said.push(localStorage.length); } catch (error) { said.push(error.name); }
try { said.push(parent.document.title); } catch (error) { said.push(error.name); }
const image = new Image();
image.onerror = () => fetch('/v1').catch(() => 'nothing').then((got) => {
  parent.postMessage([...said, got, document.querySelector('p').textContent], '*');
});
image.src = 'ADDRESS/web/icon.svg';
</script>"""


@pytest.fixture
def browser():
    with Chromium() as browser:
        yield browser


def test_html_of_a_run_runs_and_reaches_nothing(runs, browser):
    make_run(runs)
    with showing(runs) as client:
        browser.open(f"{client.url}/#{client.session.headers['Authorization'].replace('Bearer ', 'token=')}")
        said = browser.ask(ASK % CURIOUS.replace("ADDRESS", client.url))
    assert said == ["null", 2, "SecurityError", "SecurityError", "nothing", "the run's own"]


def test_page_runs_only_scripts_that_are_its_own(runs, browser):
    """What came into it as text is not run, whatever it says."""
    with showing(runs) as client:
        browser.open(f"{client.url}/")
        browser.ask(
            "new Promise((done) => { const script = document.createElement('script');"
            " script.textContent = 'window.ran = true'; document.body.append(script);"
            " setTimeout('window.ran = true');"
            " const inside = document.createElement('div');"
            " inside.innerHTML = '<img src=x onerror=\"window.ran = true\">';"
            " inside.firstChild.addEventListener('error', () => setTimeout(done));"
            " document.body.append(inside); })"
        )
        assert browser.ask("typeof window.ran") == "undefined"
