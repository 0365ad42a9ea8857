"""However a process ends, and from wherever it logs, no row is lost that ``log`` returned from."""

import signal

import pytest

from acknowledging import Acknowledging, values
from runfmt.reading import StoredRun

START = "runfmt.init(id='one')\n"
ROWS = "for value in range(100): log(value)\n"
ENDS = {
    "end of the program": "",
    "sys.exit": "sys.exit(3)",
    "exception": "1 / 0",
    "SystemExit": "raise SystemExit(1)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "os._exit": "os._exit(0)",
    "os.abort": "os.abort()",
    "exec": "os.execv('/bin/true', ['true'])",
    **{
        name: f"os.kill(os.getpid(), signal.{name})"
        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "SIGSEGV", "SIGXCPU", "SIGUSR1", "SIGPIPE")
    },
    "recursion": "def deeper(): deeper()\ndeeper()",
    "no more memory": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (10**8,) * 2)\nbytes(10**9)",
    "a second init": "runfmt.init(id='two', reinit='finish_previous'); log(0)",
    "a second init beside": "runfmt.init(id='two', reinit='create_new')",
    "finish in a thread": "thread = threading.Thread(target=runfmt.finish); thread.start(); thread.join()",
}
ALSO = {
    "a row at exit": "atexit.register(log, 100)",
    "a row of a finaliser": """
class Model:
    def __del__(self): log(100)
model = Model()
del model
""",
    "a row of a handler": """
signal.signal(signal.SIGALRM, lambda *_: log(100))
os.kill(os.getpid(), signal.SIGALRM)
""",
    "rows of a daemon thread": """
def forever(value=101):
    while True:
        log(value)
        value += 1
threading.Thread(target=forever, daemon=True).start()
while not os.path.exists("runs/one/metrics.jsonl"): pass
""",
    "rows of many threads": """
def some(begin):
    for value in range(begin, begin + 100): log(value)
threads = [threading.Thread(target=some, args=(begin,)) for begin in range(1000, 9000, 1000)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
""",
    "a forked child that goes on": """
if os.fork() == 0:
    runfmt.init(id="child", console="off", settings={"silent": True})
    log(500)
    os._exit(0)
""",
}
"""What goes on besides, before the end."""


def lost(tmp_path, program):
    """The values that were acknowledged and are in no run, and how many were acknowledged."""
    trainer = Acknowledging(tmp_path, program)
    trainer.wait()
    there = {value for run in (tmp_path / "runs").iterdir() for value in values(run)}
    return set(trainer.acknowledged) - there, len(trainer.acknowledged)


@pytest.mark.parametrize("end", ENDS)
def test_no_end_of_a_process_loses_a_row(tmp_path, end):
    missing, rows = lost(tmp_path, START + ROWS + ENDS[end])
    assert not missing
    assert rows >= 100


@pytest.mark.parametrize("end", ["end of the program", "exception", "SIGTERM", "os._exit"])
@pytest.mark.parametrize("also", ALSO)
def test_rows_from_anywhere_are_there(tmp_path, also, end):
    missing, rows = lost(tmp_path, START + ALSO[also] + "\n" + ROWS + ENDS[end])
    assert not missing
    assert rows >= 100


def test_ends_that_were_tried_are_counted(counted):
    counted(ends=len(ENDS), with_rows_from_elsewhere=4 * len(ALSO))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_process_that_is_ended_at_its_first_row_can_be_resumed(tmp_path, name):
    go_on = START.replace(")", ", resume='allow')") + "log(runfmt.run.step)\nwhile True: log(runfmt.run.step)"
    said = []
    for _ in range(3):
        trainer = Acknowledging(tmp_path, go_on)
        trainer.until(len(said))
        trainer.process.send_signal(getattr(signal, name))
        trainer.wait()
        said += trainer.acknowledged
    there = values(tmp_path / "runs" / "one")
    assert there == list(range(len(there)))
    assert set(said) <= set(there)
    assert len(said) == len(set(said))
    assert len(there) - len(said) <= 3  # a row that was written and not yet told, of each process
    assert StoredRun(tmp_path / "runs" / "one").history().rows[-1]["_step"] == len(there) - 1
