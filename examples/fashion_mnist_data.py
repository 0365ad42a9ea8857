"""Find Fashion-MNIST: 70,000 pictures of clothes in four files, 30 MB.

    raw = fashion_mnist_data.provide("data")      # then torchvision.datasets.FashionMNIST("data") finds it

The files come from the given folder if they are there, else from torchvision's
download, else from the Debian package ``dataset-fashion-mnist``, which is
unpacked without being installed and therefore needs no root.
"""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

PACKAGE = "dataset-fashion-mnist"
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
PATIENCE = 20.0
"""Seconds that a server may be silent."""


def provide(folder: str | Path) -> Path:
    """Put the four files where torchvision looks for them, ``folder/FashionMNIST/raw``, and name that place.

    Raises ``FileNotFoundError``, which names the three ways, if none of them worked.
    """
    folder = Path(folder)
    raw = folder / "FashionMNIST" / "raw"
    reasons = []
    for source in (from_folder, from_torchvision, from_debian):
        try:
            source(folder)
            return raw
        except (OSError, RuntimeError, ImportError) as error:
            reasons.append(f"  {source.__name__}: {error}")
    raise FileNotFoundError(
        f"Fashion-MNIST was not found. Any of these three brings it:\n"
        f"  - put the four files {', '.join(FILES)} (or their .gz) into {folder}\n"
        f"  - run once with a network, for torchvision's download\n"
        f"  - on Debian: apt-get download {PACKAGE} && dpkg -x {PACKAGE}_*.deb {folder}\n"
        f"    (as root before: apt-get update)\n"
        f"What was tried:\n" + "\n".join(reasons)
    )


def from_folder(folder: Path, source: Path | None = None) -> None:
    """Unpack the files that lie anywhere below ``source``, by default below the folder itself."""
    raw = folder / "FashionMNIST" / "raw"
    for name in FILES:
        if (raw / name).is_file():
            continue
        found = [path for path in sorted((source or folder).rglob(f"{name}*")) if path.suffix in ("", ".gz")]
        if not found:
            raise FileNotFoundError(f"no {name} below {source or folder}")
        raw.mkdir(parents=True, exist_ok=True)
        unpack(found[0], raw / name)


def unpack(source: Path, target: Path) -> None:
    """Copy a file, unzipped; the target appears when it is whole."""
    part = target.with_suffix(".part")
    opener = gzip.open if source.suffix == ".gz" else open
    with opener(source, "rb") as packed, open(part, "wb") as plain:
        shutil.copyfileobj(packed, plain)
    part.rename(target)


def from_torchvision(folder: Path) -> None:
    """Let torchvision download the files and check their digests."""
    from torchvision.datasets import FashionMNIST

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        FashionMNIST(str(folder), download=True)
    finally:
        socket.setdefaulttimeout(patience)


def from_debian(folder: Path) -> None:
    """Fetch Debian's package, whose digest apt checks, and take the files out of it."""
    with tempfile.TemporaryDirectory() as place:
        run(["apt-get", "download", PACKAGE], place)
        run(["dpkg", "-x", *os.listdir(place), "."], place)
        from_folder(folder, Path(place))


def run(command: list[str], folder: str) -> None:
    """Run a tool; what it complained of last becomes the error."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:2])}: {done.stderr.strip()[-300:]}")
