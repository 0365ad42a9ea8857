"""Nothing outside a run is ever served, whatever path is asked for and whatever lies in the data (H044)."""

import os
import shutil
import socket

import pytest

from asking import Client
from runmaker import contents, make_run, read, write
from serving import serving

SECRET = b"the secret"
TRICKS = [
    "../../secret",
    "..%2f..%2fsecret",
    "%2e%2e/%2e%2e/secret",
    "%2e%2e%2f%2e%2e%2fsecret",
    "%252e%252e/%252e%252e/secret",
    "files/../../../secret",
    "files/%2e%2e/%2e%2e/%2e%2e/secret",
    "..\\..\\secret",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "//etc/passwd",
    "files//requirements.txt",
    "files/./requirements.txt",
    "files/",
    "files",
    "",
    ".",
    "..",
    "run.json%00",
    "run.json%00.png",
    "%00",
    ".lock",
    ".cache/x",
    "files/.hidden",
    "..%c0%af..%c0%afsecret",
    "%ff%fe",
    "C:/secret",
    "C%3A%5Csecret",
    "file:///etc/passwd",
    "run.json/",
    "run.json/x",
    "a" * 5000,
    "a/" * 2000,
    "%EF%BC%8E%EF%BC%8E/secret",
    "run.json;x",
    "metrics.jsonl%20",
    "%0d%0aX-Evil:%201",
]


def raw(url, target, method="GET"):
    """The whole answer to a request whose target is sent as it is: clients would mend it."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        line = target if isinstance(target, bytes) else target.encode()
        connection.sendall(
            method.encode() + b" " + line + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


@pytest.fixture
def secret(data):
    (data.parent / "secret").write_bytes(SECRET)
    (data / "secret").write_bytes(SECRET)


@pytest.mark.parametrize("trick", TRICKS)
def test_path_that_leads_nowhere_is_not_there(server, run, uid, secret, trick):  # H044
    (run / ".lock").write_bytes(SECRET)
    (run / "files" / ".hidden").write_bytes(SECRET)
    (run / ".cache").mkdir()
    (run / ".cache" / "x").write_bytes(SECRET)
    answer = raw(server.url, f"/v1/runs/{uid}/files/{trick}")
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer[:200]
    assert SECRET not in answer
    assert b"root:" not in answer
    assert b"X-Evil" not in answer.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    "uid", ["..", "%2e%2e", "first", "%00", "..%2ffirst", ".runfmt", "%ff", "x" * 3000, "*", "'--"]
)
def test_name_that_is_no_uid_is_not_there(server, run, secret, uid):  # H044
    for where in ("", "/files/run.json", "/files/tokens.json"):
        answer = raw(server.url, f"/v1/runs/{uid}{where}")
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer[:200]


@pytest.mark.parametrize(
    "target", [b"/v1/runs/\xff", b"http://evil/v1", b"*", b"//", b"/%", b"/%zz", b"/v1?limit=\xff"]
)
def test_odd_target_is_answered(server, target):
    assert raw(server.url, target).startswith((b"HTTP/1.1 4", b"HTTP/1.1 200"))


def test_links_lead_nowhere(client, data, run, uid, secret):  # H044
    """Links to files, folders and runs, out of the run, out of the data, and to themselves."""
    other = make_run(data.parent / "elsewhere", "other")
    links = {
        "link.txt": "../../secret",
        "metrics.rank1.jsonl": "../../secret",
        "files/link": "../../../secret",
        "files/folder": "../../..",
        "files/same": "requirements.txt",
        "files/loop": "loop",
    }
    for name, target in links.items():
        os.symlink(target, run / name)
    os.symlink(other, data / "linked")
    for name in [*links, "files/folder/secret", "files/folder/data/secret"]:
        client("GET", f"/v1/runs/{uid}/files/{name}", status=404)
    assert client.json("GET", f"/v1/runs/{uid}")["files"].keys() == contents(run).keys()
    assert [row["path"] for row in client.json("GET", "/v1/runs")["runs"]] == ["first"]
    client("GET", f"/v1/runs/{read(other / 'run.json')['uid']}", status=404)


def test_document_that_is_a_link_is_not_read(client, data, run, uid, secret):  # H044
    (run / "config.json").unlink()
    (data.parent / "config.json").write_text('{"secret": 1}')
    os.symlink("../../config.json", run / "config.json")
    client("GET", f"/v1/runs/{uid}/files/config.json", status=404)
    assert client.json("GET", "/v1/runs")["runs"][0]["config"] == {}
    assert "config.json" not in client.have(uid)["entries"]


def test_odd_things_in_a_run_harm_nothing(client, run, uid):
    os.mkfifo(run / "files" / "pipe")
    os.mkfifo(run / "pipe.jsonl")
    (run / os.fsdecode(b"files/\xff\xfe")).write_bytes(b"x")
    (run / "files" / "back\\slash").write_bytes(b"x")
    (run / "files" / "new\nline").write_bytes(b"x")
    said = client.json("GET", f"/v1/runs/{uid}")["files"]
    assert not [path for path in said if "pipe" in path or "\n" in path or "\\" in path]
    assert client.have(uid)["entries"].keys() == said.keys()
    for name in ("files/pipe", "pipe.jsonl", "files/%ff%fe", "files/new%0aline", "files/back%5cslash"):
        client("GET", f"/v1/runs/{uid}/files/{name}", status=404)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"runfmt": 1}',
        b"{" * 5000,
        b'{"runfmt": 1, "requires": [], "uid": "../../x", "id": "a", "state": "failed"}',
        b'{"runfmt": 1, "requires": [], "uid": 1e999, "id": [], "state": null}',
    ],
)
def test_hostile_run_document_harms_no_other_run(data, document):
    good, bad = make_run(data, "good"), make_run(data, "bad")
    uid = read(bad / "run.json")["uid"]
    (bad / "run.json").write_bytes(document)
    with serving(data) as server:
        client = Client(server.url)
        with client.session:
            assert [row["path"] for row in client.json("GET", "/v1/runs")["runs"]] == ["good"]
            client("GET", f"/v1/runs/{uid}", status=404)
            assert client.have(read(good / "run.json")["uid"])["entries"]


@pytest.mark.parametrize("name", ["config.json", "edits.json", "metrics.jsonl", "summary.json"])
@pytest.mark.parametrize("bytes_", [b"", b"{", b"\xff\n", b'{"a":' * 3000 + b"\n", b'{"_step": 1e400}\n'])
def test_hostile_files_in_a_run_are_listed_and_served(client, run, uid, name, bytes_):
    (run / name).write_bytes(bytes_)
    (row,) = client.json("GET", "/v1/runs")["runs"]
    assert row["uid"] == uid
    client("GET", f"/v1/runs/{uid}")
    assert bytes_.startswith(client("GET", f"/v1/runs/{uid}/files/{name}").content)


def test_two_copies_of_a_run_are_one(client, data, run, uid):
    shutil.copytree(run, data / "copy")
    assert len(client.json("GET", "/v1/runs")["runs"]) == 1
    write(run / "summary.json", {})
    client("GET", f"/v1/runs/{uid}")
