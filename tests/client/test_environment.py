"""What is captured of the machine and the program: enough to do it again, and never a secret."""

import json
import os
import subprocess
import sys

import pytest

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "hidden1",
    "WANDB_API_KEY": "hidden2",
    "SLURM_JWT": "hidden3",
}
ARGUMENTS = ["--api-key", "hidden4", "--token=hidden5", "--password", "hidden6", "--lr", "0.1"]


@pytest.fixture
def run(tmp_path):
    """The directory of a run of a program in a git repository that has changed since the last commit."""
    program = tmp_path / "train.py"
    program.write_text("import runfmt\nrunfmt.init(id='one', save_code=True)\n")

    def git(*words):
        identity = ["-c", "user.name=n", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-b", "trunk")
    git("remote", "add", "origin", "https://user:hidden7@host.example/x/y.git")
    git("add", ".")
    git("commit", "-m", "first")
    program.write_text(program.read_text() + "changed = 'since'\n")
    environment = os.environ | SECRETS | {"SLURM_JOB_ID": "5", "RANK": "0", "WORLD_SIZE": "2"}
    command = [sys.executable, program.name, *ARGUMENTS]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
    return tmp_path / "runs" / "one"


def test_program_machine_and_repository_are_recorded(run):
    document = json.loads((run / "run.json").read_bytes())
    found = document["environment"]
    assert document["project"] == run.parents[1].name
    assert found["argv"] == [
        "train.py",
        "--api-key",
        "***",
        "--token=***",
        "--password",
        "***",
        "--lr",
        "0.1",
    ]
    assert found["git"].pop("commit").isalnum()
    assert found["git"] == {"branch": "trunk", "dirty": True, "remote": "https://host.example/x/y.git"}
    assert (found["slurm"], found["rank"], found["world_size"]) == ({"SLURM_JOB_ID": "5"}, "0", "2")
    assert found.keys() >= {"program", "cwd", "host", "user", "os", "python", "pid", "cpu_count", "memory"}
    assert "orjson==" in (run / "files/requirements.txt").read_text()


def test_code_and_its_changes_are_copied_when_asked_for(run):
    assert "changed = 'since'" in (run / "files/code/train.py").read_text()
    assert "+changed = 'since'" in (run / "files/diff.patch").read_text()


def test_no_secret_is_recorded(run):
    text = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert b"hidden" not in text
