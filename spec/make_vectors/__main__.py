"""Make the conformance vectors: ``python spec/make_vectors``; ``--check`` compares them with what is there"""

from __future__ import annotations

import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import bundles
import future
import invalid
import merge
import objects
import receipts
import recoverable
import valid
import write as writing
from vocabulary import NOW, text, write
from waivers import WAIVERS

GROUPS = {
    "valid": valid.VECTORS,
    "recoverable": recoverable.VECTORS,
    "invalid": invalid.VECTORS,
    "future": future.VECTORS,
    "merge": merge.VECTORS,
    "write": writing.VECTORS,
    "bundles": bundles.VECTORS,
    "receipts": receipts.VECTORS,
    "objects": objects.VECTORS,
}
PLACE = Path(__file__).parents[1] / "vectors"


def make(folder: Path) -> None:
    """Write all vectors and their manifest below a new folder."""
    entries = []
    for group, vectors in GROUPS.items():
        for vector in vectors:
            write(folder / group / vector.name, vector.contents())
            about = {"name": f"{group}/{vector.name}", "rules": vector.all_rules(), "what": vector.what}
            entries.append(about)
    manifest = {"now": NOW, "vectors": entries, "waivers": WAIVERS}
    (folder / "manifest.json").write_text(text(manifest, indent=1) + "\n", encoding="utf-8")


def differences(made: Path, there: Path) -> list[str]:
    """The paths that are not the same in two folders; a symbolic link is its target."""
    paths = {path.relative_to(top) for top in (made, there) for path in top.rglob("*")}
    return sorted(str(path) for path in paths if not _are_same(made / path, there / path))


def _are_same(made: Path, there: Path) -> bool:
    if made.is_symlink() or there.is_symlink():
        return made.is_symlink() and there.is_symlink() and made.readlink() == there.readlink()
    if made.is_dir():
        return there.is_dir()
    return made.is_file() and there.is_file() and filecmp.cmp(made, there, shallow=False)


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / "vectors"
        make(made)
        if sys.argv[1:] == ["--check"]:
            found = differences(made, PLACE)
            print("\n".join(found) or "The vectors are as their generator makes them.")
            return int(bool(found))
        shutil.rmtree(PLACE, ignore_errors=True)
        shutil.copytree(made, PLACE, symlinks=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
