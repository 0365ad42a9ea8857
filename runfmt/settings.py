"""What ``init`` was asked for, from its arguments and the environment; explicit arguments win."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runfmt.errors import UsageError
from runfmt.layout import id_problem

__all__ = [
    "Settings",
    "checked_tags",
    "environment",
    "generate_id",
    "random_name",
    "rank",
    "resolve",
    "runs_folder",
    "said_in_settings",
]

MODES = {
    "online": "write",
    "offline": "write",
    "shared": "write",
    "dryrun": "write",
    "run": "write",
    "disabled": "disabled",
}
RESUMES = ("allow", "must", "never", "auto")
_IN_SETTINGS = {
    **{name: name for name in ("project", "entity", "mode", "console", "resume", "reinit", "save_code")},
    **{name: name for name in ("silent", "x_stats_sampling_interval")},
    **{f"run_{name}": name for name in ("id", "name", "notes", "tags", "job_type")},
    "run_group": "group",
    "root_dir": "dir",
}
"""What of W&B's settings means something here, and the parameter that it is."""
SAMPLE_EVERY = 15.0
"""Seconds between two samples of the machine, at most (R100)."""
REINITS = ("default", "return_previous", "finish_previous", "create_new")
_NOT_IN_PROJECTS = r"[/\\#?%:\x00-\x1f\x7f]"
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_ADJECTIVES = (
    "amber bold brave bright brisk calm clear clever cosmic crisp dainty daring deep eager earnest easy "
    "fair fancy fast fine floral fresh gentle glad golden good grand happy hearty honest jolly keen kind "
    "light lively lucky lunar mellow merry mild misty neat noble pale peachy plain polar proud quick "
    "quiet rare rich rosy royal rustic sage sandy serene sharp silver smart smooth soft solar spring "
    "stellar still stoic sunny super swift tidy true upbeat vital vivid warm wild wise witty zesty"
).split()
_NOUNS = (
    "acorn aurora badger bay beacon birch bird breeze brook canyon cedar cherry cloud comet coral creek "
    "crow dawn deer delta dew dove dune eagle elm ember falcon fern field finch fire fjord flower forest "
    "fox frog galaxy garden glade grove gull harbor hare hawk haze hill island ivy jay lake lark leaf "
    "lion lotus maple meadow meteor mist moon moss mountain oak ocean otter owl pebble pine planet plover "
    "pond puddle rain raven reef ridge river robin sea shadow sky snow sparrow star stone stream sun "
    "sunset swan thunder tide tree valley violet water wave willow wind wolf wood wren"
).split()


@dataclass(frozen=True)
class Settings:
    """One ``init``, resolved. ``resume_step`` and ``fork_from`` come from ``ID?_step=N``.

    ``sample_every`` is in seconds, above 0 and at most 15.
    """

    root: Path
    project: str
    entity: str
    id: str | None
    name: str | None
    notes: str
    tags: tuple[str, ...]
    group: str
    job_type: str
    disabled: bool
    resume: str | None
    reinit: str
    rank: int
    console: bool
    durability: str
    strict: bool
    save_code: bool
    silent: bool = False
    sample_every: float = SAMPLE_EVERY
    allow_val_change: bool = False
    resume_step: int | None = None
    fork_from: tuple[str, int] | None = None

    @property
    def writer(self) -> str:
        """``main``, or ``rank<k>`` of a process that joins a run by its id (R061)."""
        return f"rank{self.rank}" if self.rank and self.id else "main"


def environment(name: str) -> str | None:
    """``RUNFMT_<name>``, else its ``WANDB_`` twin, else None; empty counts as absent."""
    return os.environ.get(f"RUNFMT_{name}") or os.environ.get(f"WANDB_{name}") or None


def runs_folder(dir: str | os.PathLike[str] | None = None) -> Path:
    """Where runs lie: the argument, else ``RUNFMT_DIR``, else ``./runs``."""
    return Path(dir or environment("DIR") or "runs")


def rank() -> int:
    """This process's rank, 0 if it stands alone."""
    for name in ("RANK", "SLURM_PROCID"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


def resolve(
    *,
    entity: str | None = None,
    project: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: str | Sequence[str] | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    resume: bool | str | None = None,
    reinit: bool | str | None = None,
    resume_from: str | None = None,
    fork_from: str | None = None,
    save_code: bool | None = None,
    console: str | None = None,
    durability: str = "second",
    strict: bool = False,
    silent: bool | None = None,
    allow_val_change: bool | None = None,
    x_stats_sampling_interval: float | None = None,
) -> Settings:
    """Check and complete what ``init`` was given. Raises ``UsageError`` for what cannot be meant."""
    if sum(value is not None for value in (resume, resume_from, fork_from)) > 1:
        raise UsageError("resume, resume_from and fork_from exclude each other: give one")
    texts = {"entity": entity, "project": project, "id": id, "name": name, "notes": notes, "group": group}
    for what, text in {**texts, "job_type": job_type}.items():
        if not isinstance(text, (str, type(None))):
            raise TypeError(f"{what} must be text, not {type(text).__name__} ({text!r}): use {str(text)!r}")
    run_id = id or environment("RUN_ID")
    resume_step = None
    if resume_from is not None:
        run_id, resume_step = _at_step("resume_from", resume_from)
    console = console or environment("CONSOLE") or "auto"
    return Settings(
        root=runs_folder(dir).absolute(),  # the program may change its directory
        project=_project(project or environment("PROJECT")),
        entity=entity or environment("ENTITY") or "",
        id=_checked_id(run_id),
        name=name or environment("NAME"),
        notes=notes or environment("NOTES") or "",
        tags=checked_tags(tags if tags is not None else _split(environment("TAGS"))),
        group=group or environment("RUN_GROUP") or "",
        job_type=job_type or environment("JOB_TYPE") or "",
        disabled=_one_of("mode", mode or _mode_around(), MODES) == "disabled",
        resume="must" if resume_step is not None else _resume(resume, run_id),
        reinit=_reinit(reinit),
        rank=rank(),
        console=console != "off",
        durability=_checked("durability", durability, ("second", "fsync", "buffered")),
        strict=strict,
        save_code=bool(save_code),
        silent=_is_true(environment("SILENT")) if silent is None else bool(silent),
        allow_val_change=bool(allow_val_change),
        sample_every=_interval(x_stats_sampling_interval),
        resume_step=resume_step,
        fork_from=None if fork_from is None else _at_step("fork_from", fork_from),
    )


def said_in_settings(settings: Any) -> dict[str, Any]:
    """The parameters that a dict or an object of settings gives; the rest of it means nothing here."""
    said = settings if isinstance(settings, Mapping) else getattr(settings, "__dict__", {})
    return {ours: said[theirs] for theirs, ours in _IN_SETTINGS.items() if said.get(theirs) is not None}


def _mode_around() -> str:
    """The mode that the environment asks for; ``DISABLED`` is what trainers wrote before there were modes."""
    return environment("MODE") or ("disabled" if _is_true(environment("DISABLED")) else "offline")


def _is_true(text: str | None) -> bool:
    return (text or "false").lower() not in ("false", "0", "no", "off")


def _interval(seconds: Any) -> float:
    if seconds is None:
        return SAMPLE_EVERY
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise UsageError(f"x_stats_sampling_interval={seconds!r} must be a number of seconds above 0")
    return min(float(seconds), SAMPLE_EVERY)


def _checked(what: str, value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise UsageError(f"{what}={value!r} is unknown: use one of {', '.join(map(repr, allowed))}")
    return str(value)


def _one_of(what: str, value: str, allowed: dict[str, str]) -> str:
    return allowed[_checked(what, value, list(allowed))]


def _resume(value: bool | str | None, run_id: str | None) -> str | None:
    if value is None:
        value = environment("RESUME")
    if value is None or value is False:
        return None
    if value == "must" and run_id is None:
        raise UsageError("resume='must' needs the id of a run: give id=, or RUNFMT_RUN_ID")
    return "auto" if value is True else _checked("resume", value, RESUMES)


def _reinit(value: bool | str | None) -> str:
    if value is True:
        return "finish_previous"
    return "default" if value in (None, False) else _checked("reinit", value, REINITS)


def _project(name: str | None) -> str:
    if name is None:
        from runfmt.environment import repository_name

        name = re.sub(_NOT_IN_PROJECTS, "-", repository_name() or "uncategorized")[:128]
    if len(name) > 128 or re.search(_NOT_IN_PROJECTS, name):
        fitting = re.sub(_NOT_IN_PROJECTS, "-", name)[:128]
        limits = "must have at most 128 characters, none of them / \\ # ? % : or one that cannot be seen"
        raise UsageError(f"project {name!r} {limits}; {fitting!r} would do")
    return name


def _checked_id(run_id: str | None) -> str | None:
    if run_id is None:
        return None
    if problem := id_problem(run_id):
        fitting = re.sub(r"[^A-Za-z0-9._-]+", "-", run_id).strip("-._")[:120] or "run"
        fitting = f"{fitting}-run" if id_problem(fitting) else fitting
        raise UsageError(f"id {run_id!r} {problem}: {fitting!r} would do")
    return run_id


def checked_tags(tags: str | Sequence[str] | None) -> tuple[str, ...]:
    """Tags without repetition; a text is one tag. Raises ``UsageError``."""
    if tags is None:
        return ()
    if not isinstance(tags, Iterable):
        raise TypeError(f"tags must be a list of text, not {type(tags).__name__} ({tags!r})")
    listed = [tags] if isinstance(tags, str) else list(tags)
    for tag in listed:
        if not isinstance(tag, str) or not 1 <= len(tag) <= 64:
            raise UsageError(f"tag {tag!r} must be text of 1 to 64 characters: shorten it")
    return tuple(dict.fromkeys(listed))


def _at_step(what: str, text: str) -> tuple[str, int]:
    found = re.fullmatch(r"([^?]+)\?_step=([0-9]+)", text)
    if not found:
        raise UsageError(f"{what}={text!r} must read '<run id>?_step=<number>'")
    return found[1], int(found[2])


def generate_id(length: int = 6) -> str:
    """A new run id: start time (UTC) and random characters, so that folders sort by time."""
    import secrets  # with what it loads, a tenth of the time that `import runfmt` takes

    random = "".join(secrets.choice(_ALPHABET) for _ in range(length))
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{random}"


def random_name(number: int) -> str:
    """``adjective-noun-N``; names need not be unique."""
    import secrets

    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{number}"


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [tag.strip() for tag in text.split(",") if tag.strip()]
