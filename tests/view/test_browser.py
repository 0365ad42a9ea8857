"""What a real browser makes of what it is served."""

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


def address(client):
    """The address that `runfmt view` prints."""
    return f"{client.url}/#token={client.session.headers['Authorization'].removeprefix('Bearer ')}"


def test_html_of_a_run_runs_and_reaches_nothing(runs, page, faults):
    make_run(runs)
    with showing(runs) as client:
        page.goto(address(client))
        said = page.evaluate(ASK % CURIOUS.replace("ADDRESS", client.url))
        page.context.close()
    assert said == ["null", 2, "SecurityError", "SecurityError", "nothing", "the run's own"]
    faults.expect("Loading the image .*Content Security Policy")
    faults.expect("(Connecting to|Fetch API) .*Content Security Policy")


def test_page_runs_only_scripts_that_are_its_own(runs, page, faults):
    """What came into it as text is not run, whatever it says."""
    with showing(runs) as client:
        page.goto(address(client))
        page.evaluate(
            "new Promise((done) => { const script = document.createElement('script');"
            " script.textContent = 'window.ran = true'; document.body.append(script);"
            " setTimeout('window.ran = true');"
            " const inside = document.createElement('div');"
            " inside.innerHTML = '<img src=data:, onerror=\"window.ran = true\">';"
            " inside.firstChild.addEventListener('error', () => setTimeout(done));"
            " document.body.append(inside); })"
        )
        assert page.evaluate("typeof window.ran") == "undefined"
        page.context.close()
    for what in ("inline script", "inline event handler", "a string as JavaScript"):
        faults.expect(f"{what} .*Content Security Policy")
