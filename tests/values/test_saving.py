"""Copies of files in a run."""

import os
from pathlib import Path

import pytest

from runfmt.errors import UsageError
from runfmt.layout import is_safe
from runfmt.saving import log_code, save


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working directory with a few files."""
    folder = tmp_path / "work"
    for name in ("a.txt", "sub/b.txt", "sub/c.bin", "sub/deep/d.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    monkeypatch.chdir(folder)
    return folder


def copies(run):
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("glob", "base", "expected"),
    [
        ("a.txt", None, ["files/a.txt"]),
        ("sub/*.txt", None, ["files/sub/b.txt"]),
        ("sub/*.txt", "sub", ["files/b.txt"]),
        ("{work}/sub/*.txt", None, ["files/sub/b.txt"]),
        ("{work}/sub/deep/d.txt", "{work}", ["files/sub/deep/d.txt"]),
        ("{work}/sub/deep/d.txt", "{work}/sub", ["files/deep/d.txt"]),
        ("sub", None, ["files/sub/b.txt", "files/sub/c.bin", "files/sub/deep/d.txt"]),
    ],
)
def test_the_structure_below_the_base_path_is_kept(glob, base, expected, run, work):
    copied = save(run, glob.format(work=work), base and base.format(work=work))
    assert copies(run) == expected
    assert copied.names == [str(run / name) for name in expected]
    assert (work / (run / expected[0]).read_text()).name == Path(expected[0]).name
    assert not any(Path(name).is_symlink() for name in copied.names)


def test_a_path_object_and_bytes_are_globs_too(run, work):
    save(run, Path("a.txt"), base_path=Path("."))
    save(run, b"sub/b.txt")
    assert copies(run) == ["files/a.txt", "files/sub/b.txt"]
    assert (run / "files/sub/b.txt").read_text() == "sub/b.txt"


@pytest.mark.parametrize(
    ("glob", "base"), [("../x", None), ("sub/../../x", None), ("/etc/hosts", "sub"), ("a.txt", "sub")]
)
def test_a_path_outside_the_base_path_is_refused(glob, base, run, work):
    with pytest.raises(UsageError, match="base_path"):
        save(run, glob, base)
    assert copies(run) == []


def test_names_that_a_run_cannot_hold_are_changed(run, work):
    (work / ".hydra").mkdir()
    (work / ".hydra" / "a\nb.yaml").write_text("x")
    Path(os.fsdecode(b"\xff.txt")).write_text("x")
    save(run, ".hydra/*")
    save(run, b"\xff.txt")
    assert copies(run) == ["files/_.txt", "files/_hydra/a_b.yaml"]
    assert all(is_safe(name) for name in copies(run))


def test_a_symbolic_link_is_copied_as_its_contents(run, work):
    (work / "link.txt").symlink_to(work / "a.txt")
    save(run, "link.txt")
    assert (run / "files/link.txt").read_text() == "a.txt"
    assert not (run / "files/link.txt").is_symlink()


def test_what_is_in_the_run_already_stays_there(run):
    model = run / "files" / "model.pt"
    model.parent.mkdir()
    model.write_text("weights")
    copied = save(run, str(model))
    assert copies(run) == ["files/model.pt"]
    assert copied.names == [str(model)]


def test_nothing_that_matches_is_a_warning(run, work):
    with pytest.warns(RuntimeWarning, match=r"no file matches \*\.ckpt"):
        assert save(run, "*.ckpt").names == []


def test_wrong_policies_and_urls_are_refused(run, work):
    with pytest.raises(ValueError, match="policy 'often'"):
        save(run, "a.txt", policy="often")
    with pytest.raises(ValueError, match="not on this machine"):
        save(run, "s3://bucket/x")


def test_refresh_copies_what_changed_and_only_that(run, work):
    copied = save(run, "sub/*")
    before = {name: os.stat(name).st_ino for name in copied.names}
    (work / "sub/b.txt").write_text("changed and longer")
    (work / "sub/c.bin").unlink()
    copied.refresh()
    after = {Path(name).name: os.stat(name).st_ino == before[name] for name in copied.names}
    assert after == {"b.txt": False, "c.bin": True, "d.txt": True}
    assert (run / "files/sub/b.txt").read_text() == "changed and longer"


def test_a_reader_of_the_old_copy_is_not_disturbed(run, work):
    copied = save(run, "a.txt")
    with open(copied.names[0]) as old:
        (work / "a.txt").write_text("new contents")
        copied.refresh()
        assert old.read() == "a.txt"


def test_a_disk_that_refuses_is_warned_of(run, work):
    (run / "files").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="its copy in the run was not made"):
        save(run, "a.txt")


def test_code_is_copied_without_caches_environments_and_runs(run, work, tmp_path):
    for name in (
        "main.py",
        "pkg/m.py",
        "__pycache__/x.py",
        ".git/y.py",
        "env/pyvenv.cfg",
        "env/z.py",
        "requirements.txt",
    ):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text("x")
    log_code(run)
    assert copies(run) == [f"files/code/{name}" for name in ("main.py", "pkg/m.py", "requirements.txt")]


def test_code_is_chosen_by_functions_of_one_or_two_arguments(run, work):
    log_code(
        run,
        str(work),
        name="texts",
        include_fn=lambda path: path.endswith(".txt"),
        exclude_fn=lambda path, root: os.path.relpath(path, root).startswith("sub/deep"),
    )
    assert copies(run) == ["files/code/texts/a.txt", "files/code/texts/sub/b.txt"]
