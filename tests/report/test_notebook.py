"""What a notebook shows of runs, while they are written and afterwards."""

import json
import math
import os
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import runfmt
from runfmt import notebook
from runfmt.errors import RunNotFound
from runmaker import make_run, rows, write
from serving import serving

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


class Seen(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.attributes = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def seen(shown):
    """What is seen of an object in a notebook; nothing in it can act."""
    page = Seen(shown._repr_html_())
    assert not {"script", "iframe", "img", "link", "style", "object"} & {*page.tags}
    assert not [name for name in page.attributes if name.startswith("on") or name in ("href", "src")]
    return page


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "runs"
    for run_id, lr in (("a", 0.1), ("b", 0.2), ("c", 0.2)):
        write(
            make_run(root, run_id, name=f"name of {run_id}", project="p") / "config.json",
            {"lr": lr, "same": 1},
        )
    return root


def test_run_that_is_being_written_shows_what_is_written(tmp_path):
    with runfmt.init(dir=tmp_path, project="p", name="alpha", config={"opt": {"lr": 0.25}}) as run:
        run.log({"loss": 0.5, "eval": {"acc": 0.125}})
        first = seen(run)
        run.log({"loss": math.nan, "late": 1})
        second = seen(run)
    for text in ("alpha", "running", "opt.lr", "0.25", "loss", "eval.acc", "0.125"):
        assert text in first.text
    assert first.tags.count("svg") == 2
    assert second.tags.count("svg") == 3
    assert "loss (1 not finite)" in second.text
    assert "finished" in seen(run).text


def test_disabled_run_shows_nothing():
    with runfmt.init(mode="disabled") as run:
        assert run._repr_html_() is None


def test_rank_shows_the_run(tmp_path):
    with runfmt.init(dir=tmp_path, id="x", config={"lr": 7}) as main:
        main.log({"loss": 0.375})
        code = (
            "import runfmt, sys\n"
            "run = runfmt.init(dir=sys.argv[1], id='x'); run.log({'own': 1})\n"
            "print(run._repr_html_()); run.finish(quiet=True)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            env={**os.environ, "RANK": "1"},
            check=True,
            capture_output=True,
            text=True,
        )
    assert "0.375" in Seen(done.stdout).text


def test_run_of_the_api_shows_what_is_there_now(root):
    run = runfmt.Api(root).run("a")
    with (root / "a" / "metrics.jsonl").open("ab") as stream:
        stream.write(rows(50, 1, late=1))
    page = seen(run)
    assert {"name of a", "lr", "0.1", "late"} <= {*page.words}
    write(root / "a" / "run.json", json.loads((root / "a" / "run.json").read_text()) | {"name": "another"})
    assert "another" in seen(run).text


def test_run_that_is_gone_raises(root):
    run = runfmt.Api(root).run("a")
    (root / "a").rename(root.parent / "gone")
    with pytest.raises(RunNotFound):
        run._repr_html_()


def test_list_of_runs_is_a_table_with_their_curves_over_each_other(root):
    page = seen(runfmt.Api(root).runs("p"))
    assert page.tags.count("tr") == 4
    assert page.tags.count("svg") == 1
    assert {"name of a", "name of b", "name of c", "lr", "0.2", "loss"} <= {*page.words}
    assert "same" not in page.words  # what all have in common tells nothing
    assert [*page.tags].count("path") >= 3


def test_runs_of_a_server_are_shown_as_those_of_a_folder(root):
    with serving(root) as server:
        api, by = runfmt.Api(server.url), "+display_name"
        assert seen(api.runs("p", order=by)).words == seen(runfmt.Api(root).runs("p", order=by)).words
        assert seen(api.run("a")).words == seen(runfmt.Api(root).run("a")).words


def test_list_is_still_a_list(root):
    runs = runfmt.Api(root).runs("p")
    assert isinstance(runs, list)
    assert [run.id for run in runs[1:]] == ["b", "c"]


def test_long_list_shows_the_first_runs_and_counts_the_others(root, monkeypatch):
    monkeypatch.setattr(notebook, "LISTED", 2)
    page = seen(runfmt.Api(root).runs("p"))
    assert "name of b" in page.text
    assert "name of c" not in page.text
    assert "and 1 more" in page.text


def test_metrics_that_are_too_long_for_a_cell_are_not_read(root, monkeypatch):
    size = (root / "a" / "metrics.jsonl").stat().st_size
    monkeypatch.setattr(notebook, "MOST", 2 * size + 10)
    (root / "b" / "metrics.jsonl").write_bytes(rows(0, 100))
    page = seen(runfmt.Api(root).runs("p"))
    assert "the metrics of 1 of the runs are too long" in page.text
    monkeypatch.setattr(notebook, "MOST", size - 1)
    page = seen(runfmt.Api(root).run("a"))
    assert "svg" not in page.tags
    assert "0.1" in page.words  # the config is there all the same
    assert "`runfmt view`" in page.text


def test_what_was_logged_stays_text(tmp_path):
    with runfmt.init(
        dir=tmp_path, id="x", project="p", notes=HOSTILE, name=HOSTILE, config={HOSTILE: HOSTILE}
    ) as run:
        run.log({HOSTILE: 1, "text": HOSTILE, "nested": {HOSTILE: [HOSTILE]}})
        run.log({HOSTILE: 2})
        assert HOSTILE in seen(run).words
    api = runfmt.Api(tmp_path)
    assert HOSTILE in seen(api.run("x")).words
    assert HOSTILE in seen(api.runs()).words


def test_hidden_metrics_are_not_shown(tmp_path):
    with runfmt.init(dir=tmp_path, id="x") as run:
        run.define_metric("secret", hidden=True)
        run.log({"secret": 1, "loss": 2})
        assert seen(run).tags.count("svg") == 1


def test_damaged_run_is_shown_as_far_as_it_is_there(root):
    (root / "a" / "run.json").write_text("{")
    page = Seen(notebook.run_html(*notebook.here(root / "a")))
    assert "damaged" in page.text
    assert "svg" in page.tags


def test_notebook_needs_nothing_but_the_client(tmp_path):
    code = (
        "import sys, runfmt\n"
        "with runfmt.init(dir=sys.argv[1], mode='offline') as run:\n"
        "    run.log({'loss': 1}); run._repr_html_()\n"
        "runfmt.Api(sys.argv[1]).runs()._repr_html_()\n"
        "print({'numpy', 'pandas', 'pyarrow', 'runfmt_sync'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "set()"
