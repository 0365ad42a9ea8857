"""Projects as Trackio's own package writes them."""

import json
import math
import os
import shutil
import sqlite3
import subprocess

import pytest

from trackers.mlflowkinds import PROGRAMS

WRITER = """
import math, numpy, trackio
trackio.init(project="digits", name="first", config={"lr": 0.1, "net": {"depth": 3}}, group="g")
for step in range(5):
    trackio.log({"loss": 1 / (step + 1), "odd": math.nan if step == 2 else 1.0})
black = numpy.zeros((4, 6, 3), numpy.uint8)
trackio.log({
    "pic": trackio.Image(black, caption="black"), "hist": trackio.Histogram(numpy.arange(5), num_bins=2),
    "table": trackio.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]]),
})
trackio.alert("look", "at this", level=trackio.AlertLevel.ERROR)
trackio.finish()
trackio.init(project="digits", name="second")
trackio.log({"loss": 7})
trackio.finish()
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trackio")
    environment = os.environ | {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1", "HOME": str(folder)}
    subprocess.run([PROGRAMS / "python", "-c", WRITER], check=True, env=environment, cwd=folder)
    return folder


def test_project_of_trackio_gives_its_runs(written, imported):
    assert {id: one.status for id, one in imported(written).items()} == {
        "first": "synced",
        "second": "synced",
    }
    imported.again(written / "digits.db")
    run = imported.run("first")
    assert run.config == {"lr": 0.1, "net": {"depth": 3}}
    assert (run.document["project"], run.document["group"]) == ("digits", "g")
    *rows, media = imported.rows("first")
    assert [(row["_step"], row["loss"]) for row in rows] == [(n, 1 / (n + 1)) for n in range(5)]
    assert [math.isnan(row["odd"]) for row in rows] == [False, False, True, False, False]
    assert (run.path / media["pic"]["path"]).read_bytes().startswith(b"\x89PNG")
    assert media["pic"]["caption"] == "black"
    assert media["hist"]["values"] == [2, 3]
    table = json.loads((run.path / media["table"]["path"]).read_bytes())
    assert (table["columns"], table["data"]) == (["a", "b"], [[1, "x"], [2, "y"]])
    alert = json.loads((run.path / "events.jsonl").read_text())
    assert (alert["title"], alert["text"], alert["level"]) == ("look", "at this", "ERROR")
    assert imported.rows("second") == [{"_step": 0, "loss": 7}]


def test_path_that_leads_elsewhere_is_not_followed(written, imported, tmp_path):
    folder = shutil.copytree(written, tmp_path / "copy")
    (folder / "secret").write_text("secret")
    with sqlite3.connect(folder / "digits.db") as database:
        value = json.dumps({"loss": 1, "pic": {"_type": "trackio.image", "file_path": "../secret"}})
        database.execute("update metrics set metrics = ? where run_name = 'second'", [value])
    [note] = imported(folder)["second"].notes
    assert "'pic', whose file" in note
    assert imported.rows("second") == [{"_step": 0, "loss": 1, "pic": None}]
