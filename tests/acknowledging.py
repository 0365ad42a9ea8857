"""Programs that say of each row that ``log`` has returned from it; what they said outlives them."""

import json
import os
import subprocess
import sys

from runfmt.reading import StoredRun

BEGIN = """
import atexit, os, signal, sys, threading, time, runfmt
channel = int(sys.argv[1])
def log(value, run=None):
    (run or runfmt.run).log({"v": value})
    os.write(channel, b"%d\\n" % value)
"""


class Acknowledging:
    """A running program; ``acknowledged`` are the values of the rows that it said were logged.

    What is ``first`` is done before runfmt is imported.
    """

    def __init__(self, folder, program, *arguments, first="", **environment):
        read, write = os.pipe()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        command = [sys.executable, "-c", first + BEGIN + program, str(write), *map(str, arguments)]
        self._read = open(read, "rb")  # noqa: SIM115  closed in wait
        self.process = subprocess.Popen(
            command, cwd=folder, pass_fds=[write], env=os.environ | environment, **quiet
        )
        os.close(write)
        self.acknowledged = []

    def until(self, value):
        """Read until it said a value; False if it ended before."""
        for line in self._read:
            self.acknowledged.append(int(line))
            if self.acknowledged[-1] >= value:
                return True
        return False

    def wait(self):
        """Read until its end; gives what it said on stderr."""
        with self._read:
            self.acknowledged += map(int, self._read.read().split())
        with self.process:
            return self.process.stderr.read().decode()


def values(run):
    """The values that a run has in any of its streams, a line each, in the order of the streams."""
    found = []
    for path in sorted(run.glob("metrics*.jsonl")):
        rows = map(json.loads, path.read_bytes().rpartition(b"\n")[0].splitlines())
        found += [row["v"] for row in rows if "v" in row]
    assert {problem.rule for problem in StoredRun(run).problems} <= {"R020"}
    return found
