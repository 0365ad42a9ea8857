"""``init`` and ``finish``: which run directory, and which run is the active one."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from runfmt import lifecycle
from runfmt.config import plain_config
from runfmt.documents import keep_aside, read_document, release, replace, replace_document, sync
from runfmt.errors import FormatError, NotStarted, RunNotFound, UsageError, explain, warn
from runfmt.history import read_history
from runfmt.layout import CONFIG, MAIN, METRICS, RUN, is_private, is_stream, stream_name
from runfmt.live import last_step
from runfmt.rows import encode
from runfmt.run import Run, document_of, own_writer
from runfmt.settings import Settings, generate_id, random_name, resolve, said_in_settings
from runfmt.writers import claim, excludes

__all__ = ["active_run", "finish", "init", "require", "set_config"]

_run: Run | None = None
_config_before: dict[str, Any] = {}
_locks: dict[Run, int] = {}
_resume_files: dict[Run, Path] = {}


def active_run() -> Run | None:
    """The run that ``runfmt.log`` writes to, None before ``init`` and after ``finish``."""
    return _run


def require(what: str) -> Run:
    """The active run; raises ``NotStarted`` without one."""
    if _run is None:
        raise NotStarted(f"{what} before init(): call runfmt.init() first")
    return _run


def set_config(values: Any) -> None:
    """Set the active run's config, or the next one's defaults."""
    if _run is not None:
        _run.config.update(values, allow_val_change=True)
    else:
        from runfmt.values import config_mapping

        _config_before.update(config_mapping(values))


def init(
    project: str | None = None,
    *,
    entity: str | None = None,
    config: Any = None,
    allow_val_change: bool | None = None,
    sync_tensorboard: bool | None = None,
    tensorboard: bool | None = None,
    monitor_gym: bool | None = None,
    config_exclude_keys: Any = None,
    config_include_keys: Any = None,
    force: Any = None,
    settings: Any = None,
    anonymous: Any = None,
    **options: Any,
) -> Run:
    """Start a run, or carry one on, and make it the active one.

    Takes what W&B's ``init`` takes (see :func:`runfmt.settings.resolve`), and
    ``console="off"``, ``durability="fsync"`` or ``"buffered"``, ``strict=True``. ``run.json`` and
    ``config.json`` are durable when this returns (R018).

    Raises ``UsageError`` for a value that cannot be meant, ``TypeError`` for an
    unknown parameter, ``OSError`` if the folder cannot be written.
    """
    if unknown := options.keys() - (resolve.__kwdefaults__ or {}).keys():
        raise TypeError(f"init() has no parameter {min(unknown)!r}: look for it in help(runfmt.init)")
    options |= {"entity": entity, "project": project, "allow_val_change": allow_val_change}
    said = said_in_settings(settings)
    asked = resolve(**options | {name: said[name] for name in said if options.get(name) is None})
    if (previous := _previous(asked)) is not None:
        return previous
    values = _config_values(config, config_exclude_keys, config_include_keys)
    if asked.disabled:
        return _disabled(asked, values)
    try:
        run = _open(asked, values)
    except OSError as error:
        advice = "give dir= or RUNFMT_DIR a folder that can be written"
        raise OSError(
            error.errno, f"{error.strerror}: {advice}", error.filename or str(asked.root)
        ) from error
    _make_active(run, asked)
    if sync_tensorboard or tensorboard:
        from runfmt.tensorboard import patch

        patch(run)
    if monitor_gym:
        warn("monitor_gym is not there: log the videos with runfmt.Video")
    return run


def _disabled(asked: Settings, values: dict[str, Any]) -> Run:
    global _run
    from runfmt.disabled import DisabledRun

    run = DisabledRun(asked)
    run.config.update(values)
    if asked.reinit != "create_new":
        _run = run
    return run


def _previous(asked: Settings) -> Run | None:
    """The active run where it is asked for; one that must end is ended."""
    if _run is None or _run._forked or asked.reinit == "create_new":
        return None
    in_notebook = "ipykernel" in sys.modules
    if asked.reinit == "finish_previous" or (asked.reinit == "default" and in_notebook):
        _run.finish()
        return None
    return _run


def _make_active(run: Run, asked: Settings) -> None:
    global _run
    lifecycle.begun(run)
    if asked.reinit != "create_new":
        _run = run
    _tell(run, f"{run.name} in {_shown(run.directory)}")


def _config_values(config: Any, exclude: Any, include: Any) -> dict[str, Any]:
    from runfmt.values import config_mapping

    values = {**_file_defaults(), **_config_before, **({} if config is None else config_mapping(config))}
    _config_before.clear()
    if exclude and include:
        raise UsageError("config_exclude_keys and config_include_keys exclude each other: give one")
    return {k: v for k, v in values.items() if k not in (exclude or ()) and (not include or k in include)}


def _file_defaults() -> dict[str, Any]:
    from runfmt.values import config_mapping

    return config_mapping("config-defaults.yaml") if Path("config-defaults.yaml").is_file() else {}


def _open(asked: Settings, values: dict[str, Any]) -> Run:
    _make_root(asked.root)
    if asked.fork_from is not None:
        _check_parent(asked.root, *asked.fork_from)
    resume_file = _resume_file(asked) if asked.resume == "auto" else None
    found, held = _directory(asked, resume_file)
    try:
        if resume_file is not None:
            replace(resume_file, orjson.dumps({"id": found.name}))
        run = _begin(asked, values, found, is_locked=held is None)
    except BaseException:
        if held is not None:
            release(held)
        raise
    if held is not None:
        _locks[run] = held
    if resume_file is not None:
        _resume_files[run] = resume_file
    return run


def _make_root(root: Path) -> None:
    """Make the folder of runs, and make durable what leads to it where it was not there."""
    new = list(itertools.takewhile(lambda folder: not folder.exists(), (root, *root.parents)))
    root.mkdir(parents=True, exist_ok=True)
    for folder in new:
        sync(folder.parent)


def _begin(asked: Settings, values: dict[str, Any], found: Path, *, is_locked: bool) -> Run:
    """Open the run in its directory, with what an earlier process or a parent left."""
    carry_on, writer = _is_run(found, asked.writer) and asked.resume is not None, asked.writer
    if writer == MAIN and is_locked:
        writer = own_writer()
        warn(f"another process writes {found}: this one goes on in {stream_name('metrics', writer)}")
    stream = found / stream_name("metrics", asked.writer)
    if asked.resume_step is not None:
        _check_step(found, asked.resume_step, last_step(stream) if carry_on else -1)
    document = _document(asked, found, carry_on=carry_on)
    begins_with: dict[str, Any] = {}
    if writer == MAIN and not carry_on:  # before the streams: metrics without run.json are a damaged run
        begins_with = {} if asked.fork_from else plain_config(values)
        replace_document(found / CONFIG, begins_with)
        replace_document(found / RUN, document)
    # Of a rank nobody holds a lock (R060), and a name that was made up is nobody else's.
    alone = excludes(found) if writer == MAIN else writer != asked.writer
    run = Run(found, document, asked, writer=writer, alone=alone)
    try:
        # Only now: where no lock keeps others out, who wrote before a stream was opened is not noticed by it.
        carry_on = carry_on or run._metrics.path.stat().st_size > 0
        _start(run, values, begins_with, last_step(stream) if carry_on else None)
    except BaseException:
        run._in_child()  # it writes no more, and holds nothing open
        raise
    return run


def _start(run: Run, values: dict[str, Any], saved: dict[str, Any], last: int | None) -> None:
    """Give a run its config, of which some is ``saved``, and let it go on after its ``last`` step, if any."""
    asked, found = run.settings, run.directory
    sync(found)  # R018, and the names of the streams: what log makes durable must be found again
    sync(asked.root)
    if last is not None:
        run._resume(last, _resumed_config(found, run._writer))
    if asked.fork_from:
        _copy_parent(run, asked)
    if saved:
        run.config._load(saved)
    else:
        run.config._set(values, allow=True)
    if last is not None or asked.fork_from:
        run._write_document(RUN, run._document)
    if asked.resume_step is not None:
        run._rewind(asked.resume_step)
    run._start("start" if last is None else "resume")


def _directory(asked: Settings, resume_file: Path | None) -> tuple[Path, int | None]:
    """The run's directory, claimed by making it (R015), and the main writer's lock if it is free."""
    run_id = asked.id
    if run_id is None and resume_file is not None and resume_file.is_file():
        run_id = str(read_document(resume_file).get("id", "")) or None
    if run_id is None:
        return _claim_new(asked)
    found = _of_any_case(asked.root, run_id)
    is_there = _is_run(found, asked.writer)
    if asked.resume == "must" and not is_there:
        raise RunNotFound(f"there is no run {run_id!r} in {asked.root}: give another id, or resume='allow'")
    if asked.resume == "never" and is_there:
        raise UsageError(f"run {run_id!r} is there already ({found}): give another id, or resume='allow'")
    if asked.resume is None:
        return _claim(asked, run_id)
    if not is_there and _is_foreign(found):
        raise UsageError(f"{found} is there and is no run: give another id, or another dir")
    found.mkdir(exist_ok=True)
    return found, _lock(asked, found)


def _claim_new(asked: Settings) -> tuple[Path, int | None]:
    while True:
        found = asked.root / generate_id()
        try:
            found.mkdir()
        except FileExistsError:
            continue
        return found, _lock(asked, found)


def _claim(asked: Settings, run_id: str) -> tuple[Path, int | None]:
    """The first of ``id``, ``id-2``, .. where nobody has written or is about to."""
    for number in itertools.count(1):
        found = _of_any_case(asked.root, run_id if number == 1 else f"{run_id[:120]}-{number}")
        if _is_run(found, asked.writer) or _is_foreign(found):
            continue
        found.mkdir(exist_ok=True)
        held = _lock(asked, found)
        if asked.writer == MAIN and held is None:  # another process was quicker
            continue
        if number > 1:
            warn(f"{run_id!r} is there already: this run is {found.name!r}; pass resume='allow' to go on")
        return found, held
    raise AssertionError  # the count does not end


def _of_any_case(root: Path, name: str) -> Path:
    """The directory of that name, or of the same in other letters, as ids are unique ignoring case (R015)."""
    names = os.listdir(root)
    same = (there for there in names if there.lower() == name.lower())
    return root / (name if name in names else next(same, name))


def _is_foreign(found: Path) -> bool:
    """Whether somebody keeps other things there; a run that is about to begin has its config at most."""
    if not found.is_dir():
        return False
    names = os.listdir(found)
    is_strange = any(not is_private(name) and name != CONFIG and not is_stream(name) for name in names)
    return is_strange and not _is_run(found, MAIN)  # asked last: another process may just have begun it


def _is_run(found: Path, writer: str) -> bool:
    if writer == MAIN:
        return (found / RUN).exists() or (found / METRICS).exists()
    return (found / stream_name("metrics", writer)).exists()


def _lock(asked: Settings, found: Path) -> int | None:
    return claim(found) if asked.writer == MAIN else None


def _document(asked: Settings, found: Path, *, carry_on: bool) -> dict[str, Any]:
    """What ``run.json`` says of this run, an earlier process's words kept (R017)."""
    from runfmt.environment import capture

    opened = {"state": "running", "exit_code": None, "finished_at": None, "environment": capture()}
    if carry_on or asked.writer != MAIN:
        there = _stored_document(found)
        if there:
            given = {
                key: getattr(asked, key) for key in ("notes", "group", "job_type") if getattr(asked, key)
            }
            given |= {"name": asked.name} if asked.name else {}
            given |= {"tags": list(asked.tags)} if asked.tags else {}
            whole = document_of(asked, found.name, found.name)  # another writer may have left something out
            return {**whole, **there, **given, **opened}
    name = asked.name or random_name(_count(asked.root))
    return {**document_of(asked, found.name, name), **opened}


def _stored_document(found: Path) -> dict[str, Any]:
    try:
        return read_document(found / RUN)
    except FormatError as error:
        raise UsageError(f"{error}: runfmt recover {found} makes the run whole again") from None


def _stored_config(found: Path) -> dict[str, Any]:
    return read_document(found / CONFIG)


def _resumed_config(found: Path, writer: str) -> dict[str, Any]:
    """The config of a run that goes on; one that is damaged is put aside, as the job must not die of it."""
    try:
        return _stored_config(found)
    except FormatError as error:
        if writer != MAIN:  # whose file it is not
            warn(f"{error}: this process goes on without a config")
            return {}
        aside = keep_aside(found / CONFIG)
        replace_document(found / CONFIG, {})
        warn(f"{error}: it is kept as {aside.name}, and the run goes on with an empty config; set it again")
        return {}


def _count(root: Path) -> int:
    with os.scandir(root) as entries:
        return max(1, sum(entry.is_dir() and not entry.name.startswith(".") for entry in entries))


def _check_parent(root: Path, run_id: str, step: int) -> None:
    parent = root / run_id
    if not _is_run(parent, MAIN):
        raise RunNotFound(f"there is no run {run_id!r} in {root} to fork from: give another id")
    _check_step(parent, step, last_step(parent / METRICS))


def _check_step(found: Path, step: int, last: int) -> None:
    """Refuse a step to go on from that the run has not come to."""
    if step > last:
        said = f"its last is {last}" if last >= 0 else "it has none"
        raise UsageError(f"{found} has no step {step}, {said}: give a lower one")


def _copy_parent(run: Run, asked: Settings) -> None:
    """Begin with the parent's rows up to a step, and name the parent."""
    assert asked.fork_from is not None  # noqa: S101  who calls has looked
    parent_id, step = asked.fork_from
    parent = asked.root / parent_id
    with open(parent / METRICS, "rb") as stream:
        rows = read_history(stream).rows
    for row in rows:
        if row["_step"] <= step:
            run._append(encode(row, normal=True))
    run._step = step + 1
    run.config._set(_stored_config(parent), allow=True)
    run._document["parent"] = {"uid": _stored_document(parent).get("uid"), "id": parent_id, "step": step}


def _resume_file(asked: Settings) -> Path:
    """Where ``resume="auto"`` remembers the id: beside the runs, by project, program, task and rank."""
    import hashlib

    task = os.environ.get("SLURM_ARRAY_TASK_ID", "")
    what = orjson.dumps([asked.project, *map(os.path.abspath, sys.argv[:1]), *sys.argv[1:], task, asked.rank])
    return asked.root / f".resume-{hashlib.sha256(what).hexdigest()[:16]}"


def forget(run: Run, exit_code: int, *, quiet: bool) -> None:
    """A run has ended: it is the active one no more, and lets go of its directory."""
    global _run
    if _run is run:
        _run = None
    if (held := _locks.pop(run, None)) is not None:
        release(held)
    remembered = _resume_files.pop(run, None)
    if remembered is not None and exit_code == 0:
        try:
            remembered.unlink(missing_ok=True)
        except OSError as error:
            warn(f"{explain(error)}: resume='auto' would go on with {run.id} next time: remove that file")
    if not quiet:
        _tell(run, f"{run.name} {run.state}{_what_next(run)}")


def _what_next(run: Run) -> str:
    if not run._lost:
        return f"; to bring it along: runfmt sync {_shown(run.directory.parent)}"
    where = _shown(run.directory)
    return (
        f", but its last {run._lost:,} rows are lost, as the disk did not take them ({where}): make room, "
        f"then runfmt recover {where}, and resume it to log them again"
    )


def in_child() -> None:
    """In a forked child, which may ``init`` a run of its own."""
    for held in _locks.values():  # the parent holds on; and if it dies, no child does in its place
        release(held)
    _locks.clear()
    _resume_files.clear()


def _shown(path: Path) -> Path:
    """A path as short as it can be given from here."""
    here = Path.cwd()
    return path.relative_to(here) if here in path.parents else path


def _tell(run: Run, text: str) -> None:
    if run._is_main and not run.settings.silent:
        sys.stderr.write(f"runfmt: {text}\n")


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the active run; without one it does nothing."""
    if _run is not None:
        _run.finish(exit_code, quiet)


def log(
    data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, sync: bool | None = None
) -> None:
    """Write one row to the active run, see :meth:`runfmt.Run.log`."""
    require("log").log(data, step, commit, sync)
