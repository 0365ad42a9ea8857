"""Signatures in minisign's format, in both directions with minisign itself."""

import shutil
import subprocess

import pytest

from forging import statuses
from runfmt.errors import UsageError
from runfmt_sync import signing
from runmaker import assert_same, make_run, runs_in

MINISIGN = shutil.which("minisign") or "minisign, which is not installed: apt-get install minisign"


def minisign(*words):
    return subprocess.run([MINISIGN, *map(str, words)], check=False, capture_output=True, text=True)


@pytest.fixture
def keys(tmp_path):
    """Where keys lie."""
    return tmp_path / "keys"


@pytest.fixture
def theirs(tmp_path):
    """A pair of keys that minisign made."""
    done = minisign("-G", "-W", "-p", tmp_path / "their.pub", "-s", tmp_path / "their.key")
    assert done.returncode == 0, done.stderr
    return tmp_path / "their"


@pytest.fixture
def signed(gap, source):
    """A bundle that our own key has signed."""
    make_run(source, "a")
    signing.make_key("me")
    [path] = gap.bundle(key=signing.find_secret_key("me")).paths
    return path


def beside(path):
    return path.with_name(path.name + ".minisig")


def test_minisign_believes_what_we_sign(signed, keys):
    done = minisign("-V", "-p", keys / "me.pub", "-m", signed)
    assert done.returncode == 0, done.stderr
    assert f"file:{signed.name}" in done.stdout
    signed.write_bytes(signed.read_bytes() + b"x")
    assert minisign("-V", "-p", keys / "me.pub", "-m", signed).returncode != 0


def test_minisign_signs_with_our_key_and_we_believe_it(gap, signed, keys):
    beside(signed).unlink()
    done = minisign("-S", "-s", keys / "me.key", "-m", signed)
    assert done.returncode == 0, done.stderr
    assert statuses(gap.unbundle()) == ["applied"]


def test_we_sign_with_minisigns_key_and_it_believes_it(gap, source, theirs, far):
    make_run(source, "a")
    [path] = gap.bundle(key=signing.find_secret_key(f"{theirs}.key")).paths
    assert minisign("-V", "-p", f"{theirs}.pub", "-m", path).returncode == 0
    signing.trust("her", theirs.with_suffix(".pub").read_text())
    assert statuses(gap.unbundle()) == ["applied"]
    assert_same(source, far)


def test_secret_key_is_private_and_public_key_is_known(signed, keys):
    assert (keys / "me.key").stat().st_mode & 0o777 == 0o600
    key = signing.secret_key_from_text((keys / "me.key").read_text())
    assert signing.trusted_keys() == {"me": key.public}
    assert signing.secret_key_from_text(signing.secret_key_to_text(key)) == key
    line = signing.public_key_to_text(key.public).splitlines()[1]
    assert signing.public_key_from_text(line) == key.public


def edited(path, change):
    path.write_text(change(path.read_text()))


def other_key(path):
    signing.make_key("other")
    key = signing.find_secret_key("other")
    path.write_text(signing.sign(signing._digest(path.with_suffix("")), "x", key))
    (path.parents[1] / "keys" / "other.pub").unlink()


HURTS = {
    "unsigned": lambda path: path.unlink(),
    "other comment": lambda path: edited(path, lambda text: text.replace("timestamp:", "timestamp:1")),
    "other file": lambda path: path.with_suffix("").write_bytes(path.with_suffix("").read_bytes()[::-1]),
    "empty": lambda path: path.write_text(""),
    "no text": lambda path: path.write_bytes(b"\xff\xfe" * 100),
    "too long": lambda path: edited(path, lambda text: text + "x" * 10_000),
    "three lines": lambda path: edited(path, lambda text: "\n".join(text.splitlines()[:3])),
    "no base64": lambda path: edited(path, lambda text: text.replace("\nRU", "\n!!")),
    "old kind": lambda path: edited(path, lambda text: text.replace("\nRU", "\nRW")),
    "not trusted": other_key,
}


@pytest.mark.parametrize("hurt", HURTS)
def test_bundle_without_a_good_signature_is_refused(gap, signed, far, hurt):
    HURTS[hurt](beside(signed))
    done = gap.unbundle()
    assert statuses(done) == ["refused"]
    assert runs_in(far) == {}
    assert gap.parked() == []


def test_signature_of_minisigns_old_kind_is_refused(gap, signed, keys):
    assert minisign("-S", "-l", "-s", keys / "me.key", "-m", signed).returncode == 0
    done = gap.unbundle()
    assert "old kind" in done.arrivals[0].problems[0]


def test_unsigned_bundle_is_believed_only_without_keys(gap, source, far):
    make_run(source, "a")
    gap.bundle()
    signing.make_key("me")
    assert statuses(gap.unbundle()) == ["refused"]
    for file in (gap.root / "keys").iterdir():
        file.unlink()
    assert statuses(gap.unbundle()) == ["applied"]


def test_signature_is_parked_with_its_bundle(gap, source, far):
    signing.make_key("me")
    key = signing.find_secret_key("me")
    make_run(source, "a", state="running")
    [first] = gap.bundle(key=key).paths
    with (source / "a" / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"_step":90,"_timestamp":1.0}\n')
    [second] = gap.bundle(key=key).paths
    assert statuses(gap.unbundle([second])) == ["parked"]
    assert len(gap.parked()) == 2
    assert gap.unbundle([first]).is_good
    assert_same(source, far)
    assert gap.parked() == []


@pytest.mark.parametrize("text", ["", "x", "untrusted comment: x\nRWQ=", "\n\n", "RWQ" * 100])
def test_text_that_is_no_key_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match="no public key"):
        signing.trust("x", text)
    (tmp_path / "x.key").write_text(text)
    with pytest.raises(UsageError, match="no secret key"):
        signing.find_secret_key(str(tmp_path / "x.key"))


def test_key_with_a_password_says_how_to_make_one_without(tmp_path, theirs):
    import base64

    comment, line = theirs.with_suffix(".key").read_text().splitlines()
    data = bytearray(base64.b64decode(line))
    data[2:4] = b"Sc"
    theirs.with_suffix(".key").write_text(f"{comment}\n{base64.b64encode(data).decode()}\n")
    with pytest.raises(UsageError, match="minisign -G -W"):
        signing.find_secret_key(f"{theirs}.key")


def test_key_is_made_once(keys):
    signing.make_key("me")
    with pytest.raises(UsageError, match="there is a key me already"):
        signing.make_key("me")
    with pytest.raises(UsageError, match="must match"):
        signing.make_key("../me")
    with pytest.raises(UsageError, match="key new nobody"):
        signing.find_secret_key("nobody")
