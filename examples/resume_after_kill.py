"""Kill a training with SIGKILL in the middle, start it again, and find nothing missing.

    python examples/resume_after_kill.py

The second process gives the same id and ``resume="allow"``: it carries on in the
same run, one step after the last row. On Slurm this is a requeued job.
"""

import os
import signal
import subprocess
import sys

import runfmt

STEPS, KILLED_AFTER = 1000, 437


def train():
    """Log up to STEPS rows; the first process dies on the way."""
    run = runfmt.init(project="resume", id="resume-demo", resume="allow")
    for step in range(run.step, STEPS):
        run.log({"loss": 1 / (step + 1)})
        if step == KILLED_AFTER and not run.resumed:
            os.kill(os.getpid(), signal.SIGKILL)
    run.finish()


def main():
    """Start the training twice and count what is on disk."""
    for attempt in ("first", "second"):
        code = subprocess.run([sys.executable, __file__, "train"], check=False).returncode
        steps = list(runfmt.read_metrics(runfmt.runs_folder() / "resume-demo")["_step"])
        print(f"{attempt} process: exit {code}, {len(steps)} rows, last step {steps[-1]}")
    assert steps == list(range(STEPS))
    print("every row is there, once")


if __name__ == "__main__":
    train() if sys.argv[1:] == ["train"] else main()
