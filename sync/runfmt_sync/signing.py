"""Signatures of files in minisign's format: Ed25519 over BLAKE2b-512 (B024).

Keys lie beside the names of remotes: ``keys/NAME.key`` is a secret one, whose owner signs
with it, ``keys/NAME.pub`` a public one, whose owner is trusted. minisign reads and writes the same
files; its secret keys must be without a password (``minisign -G -W``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runfmt.documents import replace
from runfmt.errors import Error, MissingLibrary, UsageError
from runfmt_sync.configuration import NAME, configuration_path

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "ENDING",
    "BadSignature",
    "PublicKey",
    "SecretKey",
    "find_secret_key",
    "make_key",
    "public_key_from_text",
    "public_key_to_text",
    "secret_key_from_text",
    "secret_key_to_text",
    "sign",
    "trust",
    "trusted_keys",
    "verify",
]

ENDING = ".minisig"
COMMENT, TRUSTED = "untrusted comment: ", "trusted comment: "
CHUNK = 2**20
LONGEST = 4096
"""Bytes of the longest key or signature that is looked at."""


class BadSignature(Error):
    """A file without a good signature by a trusted key."""


@dataclass(frozen=True)
class PublicKey:
    """Eight bytes that name a key, and its 32 bytes."""

    number: bytes
    key: bytes


@dataclass(frozen=True)
class SecretKey:
    """Eight bytes that name a key, and the 32 bytes from which it is made."""

    number: bytes
    seed: bytes

    @property
    def private(self) -> Ed25519PrivateKey:
        """What signs."""
        key: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.from_private_bytes(self.seed)
        return key

    @property
    def public(self) -> PublicKey:
        """What others check signatures with."""
        return PublicKey(self.number, self.private.public_key().public_bytes_raw())


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingLibrary("signing bundles", "'runfmt[sign]'") from None
    return ed25519


# Keys as text


def public_key_to_text(key: PublicKey) -> str:
    """The file of a public key."""
    name = key.number[::-1].hex().upper()
    return f"{COMMENT}minisign public key {name}\n{_encode(b'Ed' + key.number + key.key)}\n"


def public_key_from_text(text: str) -> PublicKey:
    """The inverse of :func:`public_key_to_text`; its second line alone will do. Raises ``UsageError``."""
    data = _decode(text.strip().splitlines()[-1] if text.strip() else "")
    if len(data) != 42 or data[:2] != b"Ed":
        raise UsageError(
            "this is no public key of minisign: it is a file of two lines, or the second of them"
        )
    return PublicKey(data[2:10], data[10:])


def secret_key_to_text(key: SecretKey) -> str:
    """The file of a secret key, without a password."""
    body = key.number + key.seed + key.public.key
    plain = b"Ed" + bytes(2) + b"B2" + bytes(48) + body + _checksum(body)
    return f"{COMMENT}minisign secret key without a password\n{_encode(plain)}\n"


def secret_key_from_text(text: str) -> SecretKey:
    """The inverse of :func:`secret_key_to_text`. Raises ``UsageError``."""
    data = _decode(text.strip().splitlines()[-1] if text.strip() else "")
    if len(data) != 158 or data[:2] != b"Ed" or data[4:6] != b"B2":
        raise UsageError("this is no secret key of minisign")
    if data[2:4] != bytes(2):
        raise UsageError("the secret key has a password: `minisign -G -W` makes one without")
    key = SecretKey(data[54:62], data[62:94])
    if key.public.key != data[94:126]:
        raise UsageError("the secret key is damaged")
    return key


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(b"Ed" + body, digest_size=32).digest()


# Signatures


def sign(digest: bytes, name: str, key: SecretKey) -> str:
    """The signature of a file whose BLAKE2b-512 is known."""
    said = f"timestamp:{int(time.time())}\tfile:{name}\thashed"
    signature = key.private.sign(digest)
    whole = key.private.sign(signature + said.encode())
    first = _encode(b"ED" + key.number + signature)
    return f"{COMMENT}signature from runfmt\n{first}\n{TRUSTED}{said}\n{_encode(whole)}\n"


def verify(path: Path, keys: Mapping[str, PublicKey]) -> str:
    """The name of the trusted key by which ``PATH.minisig`` is good. Raises ``BadSignature``, ``OSError``."""
    beside = path.with_name(path.name + ENDING)
    try:
        with open(beside, "rb") as file:
            text = file.read(LONGEST).decode()
        comment, first, trusted, second = text.removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise BadSignature(f"it is not signed: there is no {beside}") from None
    except ValueError:  # too few lines, or no text
        raise BadSignature(f"{beside} is no signature of minisign") from None
    signed = _decode(first)
    if not (comment.startswith(COMMENT) and trusted.startswith(TRUSTED)) or len(signed) != 74:
        raise BadSignature(f"{beside} is no signature of minisign")
    if signed[:2] != b"ED":
        raise BadSignature(f"{beside} is of an old kind: sign with minisign 0.10 or later")
    for name, key in keys.items():
        if key.number == signed[2:10]:
            said = trusted.removeprefix(TRUSTED).encode()
            if _is_good(key, signed[10:], _digest(path)) and _is_good(
                key, _decode(second), signed[10:] + said
            ):
                return name
            raise BadSignature(f"the signature by {name} is not of this file")
    raise BadSignature("it is signed by somebody who is not trusted: `runfmt key list` says who is")


def _is_good(key: PublicKey, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        _ed25519().Ed25519PublicKey.from_public_bytes(key.key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _digest(path: Path) -> bytes:
    digest = hashlib.blake2b()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.digest()


# Where keys lie


def _folder() -> Path:
    return configuration_path().with_name("keys")


def _place(name: str, ending: str) -> Path:
    if not NAME.fullmatch(name):
        raise UsageError(f"a key's name {name!r} must match {NAME.pattern}")
    path = _folder() / f"{name}{ending}"
    if path.exists():
        raise UsageError(f"there is a key {name} already: remove {path}, or take another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def make_key(name: str) -> Path:
    """Make a secret key, which this machine trusts too; gives the file of its public key."""
    secret, public = _place(name, ".key"), _place(name, ".pub")
    key = SecretKey(os.urandom(8), os.urandom(32))
    replace(secret, secret_key_to_text(key).encode(), mode=0o600)
    replace(public, public_key_to_text(key.public).encode())
    return public


def find_secret_key(name: str) -> SecretKey:
    """A secret key by its name or its file. Raises ``UsageError``."""
    path = _folder() / f"{name}.key"
    path = path if NAME.fullmatch(name) and path.exists() else Path(name)
    try:
        return secret_key_from_text(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"there is no key {name}: `runfmt key new {name}` makes one") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no secret key of minisign") from None


def trust(name: str, text: str) -> None:
    """Believe what a public key signed; from now on nothing else is believed."""
    key = public_key_from_text(text)
    replace(_place(name, ".pub"), public_key_to_text(key).encode())


def trusted_keys() -> dict[str, PublicKey]:
    """The public keys by name. Raises ``UsageError`` for a file that is none."""
    return {path.stem: public_key_from_text(path.read_text()) for path in sorted(_folder().glob("*.pub"))}


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
