"""``console.log``: what the program printed, line by line."""

import sys
import threading

import pytest

import runfmt
from runfmt.console import LONGEST, Lines


@pytest.fixture
def run(tmp_path):
    with runfmt.init(dir=tmp_path, settings={"silent": True}) as run:
        yield run


def recorded(run):
    return (run.directory / "console.log").read_text("utf-8")


def test_whole_lines_are_there_at_once_and_the_rest_at_the_end(run):
    print("one")
    print("two", end="")
    print("three", file=sys.stderr)
    assert recorded(run) == "one\nthree\n"
    run.finish()
    print("after")
    assert recorded(run) == "one\nthree\ntwo\n"


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        (["10%\r", "50%\r", "100%\n"], ["100%"]),
        (["\r10%", "\r100%", "\ndone\n"], ["100%", "done"]),
        (["a\r\n", "b\r\n"], ["a", "b"]),
        (["\n\n"], ["", ""]),
        (["x" * LONGEST], []),
        (["x" * LONGEST, "y"], ["x" * LONGEST + "y"]),
        (["x\r" * LONGEST, "y\n"], ["y"]),
    ],
)
def test_of_a_rewritten_line_the_last_state_is_kept(pieces, lines):
    taker = Lines()
    assert [line for piece in pieces for line in taker.take(piece)] == lines


def test_what_no_encoding_has_is_replaced(run):
    print("a\ud800b")
    assert recorded(run) == "a?b\n"


def test_threads_that_print_lose_nothing(run):
    other = threading.Thread(target=lambda: sys.stdout.write("b"))

    class Piece(str):
        """Another thread prints while this is joined to what the line holds already, if it can."""

        def __radd__(self, line):
            other.start()
            other.join(0.2)
            return line + str(self)

    sys.stdout.write(Piece("a"))
    other.join()
    print()
    assert recorded(run) in ("ab\n", "ba\n")


@pytest.mark.parametrize("twin", ["RUNFMT_CONSOLE", "WANDB_CONSOLE", None])
def test_console_that_is_off_is_not_recorded(tmp_path, monkeypatch, twin):
    if twin:
        monkeypatch.setenv(twin, "off")
    with runfmt.init(dir=tmp_path, **({} if twin else {"console": "off"})) as run:
        print("one")
    assert not (run.directory / "console.log").exists()


def test_method_that_somebody_else_put_there_meanwhile_stays(run, monkeypatch):
    said = []
    monkeypatch.setattr(sys.stdout, "write", said.append)
    run.finish()
    print("one")
    assert said == ["one", "\n"]
