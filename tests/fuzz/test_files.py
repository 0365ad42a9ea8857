"""Folders and files of others, each with one file that nobody meant; what surrounds them stays as it is."""

import asyncio
import hashlib
import importlib.util
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from asking import bundle_of
from foreign import NOT_CHECKED, READERS, canonical
from fuzz.test_parsers import BUNDLES, EDITS, ROWS
from fuzz.watching import feed
from runfmt.errors import Error, FormatError, UsageError
from runfmt.frames import read_runs
from runfmt.reading import describe, last_timestamp
from runfmt_sync.configuration import known_remotes
from runfmt_sync.credentials import token_for
from runfmt_sync.importing import UNREADABLE, mlflow, tables, trackio
from runfmt_sync.index.blocks import Block, Damaged, encode_block, from_bytes
from runfmt_sync.index.parts import metrics_part
from runfmt_sync.places import open_receipt
from runfmt_sync.server import app
from runfmt_sync.server.guard import RateLimit
from runfmt_sync.server.service import Service
from runfmt_sync.signing import BadSignature, PublicKey, verify
from runfmt_sync.wandb_log import HEADER, MAGIC, records
from runmaker import make_run, read

NOW = 1732417800.0
DOCUMENTS = ("run.json", "config.json", "summary.json", "edits.json")
STREAMS = ("metrics.jsonl", "metrics.rank1.jsonl", "events.jsonl", "system.jsonl")


def _fingerprint(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _reader():
    spec = importlib.util.spec_from_file_location("read_run", READERS / "read_run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Run


@pytest.mark.parametrize("name", [*DOCUMENTS, *STREAMS])
def test_run_with_a_file_of_anybody(tmp_path, counted, inputs_of_slow, name):
    """Our reader and one that shares nothing with it read it alike, and neither fails nor writes."""
    run, foreign = make_run(tmp_path / "runs", count=3), _reader()
    (tmp_path / "secret").write_bytes(b"secret")
    seeds = ROWS if name in STREAMS else EDITS
    seeds = [*seeds, (run / name).read_bytes()] if (run / name).exists() else seeds
    others = {path: data for path, data in _fingerprint(tmp_path).items() if path != run / name}

    def take(data):
        (run / name).write_bytes(data)
        ours = describe(run, NOW)
        ours.pop("summary", None)
        ours["problems"] = [problem for problem in ours["problems"] if problem["rule"] not in NOT_CHECKED]
        theirs = foreign(run).read(NOW)
        assert canonical(ours) == canonical(theirs)
        last_timestamp(run / name)

    counted(**feed(take, seeds, (), inputs_of_slow))
    assert {path: data for path, data in _fingerprint(tmp_path).items() if path != run / name} == others


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_table_of_runs_with_one_of_anybody(tmp_path, counted, inputs_of_slow):
    """One that is broken costs no other."""
    make_run(tmp_path / "runs", "good", count=2)
    run = make_run(tmp_path / "runs", "odd", count=2)

    def take(data):
        (run / "edits.json").write_bytes(data)
        assert "good" in set(read_runs(tmp_path / "runs")["id"])

    counted(**feed(take, EDITS, (), inputs_of_slow // 4))


FILES = {
    "csv": (b"step,loss,acc\n1,0.5,nan\n2,0.25,1e3\n", b'"a";"b"\n1,5;"x\ny"\n', b"\xff\xfea\0,\0b\0\n\0"),
    "jsonl": (b'{"step": 1, "loss": 0.5}\n{"step": 2, "timestamp": "2026-11-24T00:00:00Z"}\n',),
    "hparams.yaml": (
        b"lr: 0.1\nnet: !!python/object:os.system\n  a: [1, 2]\n",
        b"a: &x [1]\nb: *x\n? [1]\n: 2\n",
    ),
    "meta.yaml": (b"run_id: abc\nrun_uuid: abc\nexperiment_id: '0'\nstart_time: 1732417554000\nstatus: 3\n",),
}


@pytest.mark.parametrize("kind", FILES)
def test_file_of_another_tool(tmp_path, counted, inputs_of_slow, kind):
    path = tmp_path / (kind if "." in kind else f"table.{kind}")
    if kind == "hparams.yaml":
        (tmp_path / "metrics.csv").write_bytes(FILES["csv"][0])

    def take(data):
        path.write_bytes(data)
        names = [each.name for each in tmp_path.iterdir() if each.is_file()]
        if kind == "hparams.yaml":
            found = tables.find_lightning(tmp_path, names)
        elif kind == "meta.yaml":
            found = mlflow.find(tmp_path, names)
        else:
            found = [tables.read_table(path)]
        for run in found or ():
            for _step, _time, values in run.rows:
                assert isinstance(dict(values), dict)

    counted(**feed(take, FILES[kind], UNREADABLE, inputs_of_slow))


def test_log_of_wandb(tmp_path, counted, inputs_of_slow):
    import zlib

    def piece(data, kind=1):
        return HEADER.pack(zlib.crc32(data, zlib.crc32(bytes([kind]))), len(data), kind) + data

    path = tmp_path / "run-a.wandb"

    def take(data):
        path.write_bytes(data)
        assert sum(map(len, records(path))) <= len(data)

    seeds = [MAGIC + piece(b"abc") + piece(b"x" * 100, 2) + piece(b"y", 4), MAGIC + piece(b"")]
    counted(**feed(take, seeds, (UsageError,), inputs_of_slow))


def test_database_of_trackio(tmp_path, counted, inputs_of_slow):
    path = tmp_path / "demo.db"
    with sqlite3.connect(path) as database:
        database.execute("create table metrics (id integer, run_id, run_name, timestamp, step, metrics)")
        database.execute("create table configs (run_id, config)")
        database.execute("insert into metrics values (1, 'r', 'n', '2026-11-24T00:00:00', 1, '{\"a\": 1}')")
        database.execute("insert into configs values ('r', '{\"lr\": 0.1}')")
    database.close()

    def take(data):
        path.write_bytes(data)
        for run in trackio.find(tmp_path, [path.name]) or ():
            assert all(len(row) == 3 for row in run.rows)

    counted(**feed(take, [path.read_bytes()], UNREADABLE, inputs_of_slow))


def test_block_of_an_index(counted, inputs_of_slow):
    lines = [(at, line + b"\n") for at, line in enumerate(b"".join(ROWS).splitlines())]
    seed = encode_block(metrics_part(lines))

    def take(data):
        block = from_bytes(data)
        assert isinstance(block, Block)
        for path in block.paths:
            assert isinstance(block.column(path)[1], np.ndarray)

    counted(**feed(take, [seed], (Damaged,), inputs_of_slow))


def test_receipt_in_a_file(tmp_path, counted, inputs_of_slow):
    said = {
        "receipt": 1,
        "store": "s",
        "made_at": "2026-11-24T03:05:54.000000Z",
        "runs": {
            "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77": {
                "entries": {
                    "run.json": {
                        "length": 4,
                        "size": 4,
                        "blocks": [],
                        "tail": hashlib.sha256(b"abc\n").hexdigest(),
                    }
                }
            }
        },
    }

    def take(data):
        (tmp_path / "receipt.json").write_bytes(data)
        open_receipt(tmp_path / "receipt.json")

    counted(**feed(take, [json.dumps(said).encode()], (FormatError,), inputs_of_slow))


def test_files_of_the_users_own(tmp_path, counted, inputs_of_slow):
    """Names of remotes and tokens, which may be damaged, or edited by hand."""
    remotes, tokens = tmp_path / "remotes.json", tmp_path / "tokens.json"
    seeds = [
        b'{"default": "a", "remotes": {"a": {"url": "http://localhost"}}}',
        b'{"http://localhost": "runfmt_x"}',
    ]

    def take(data):
        remotes.write_bytes(data)
        tokens.write_bytes(data)
        tokens.chmod(0o600)
        token = token_for("http://localhost/x")
        assert token is None or isinstance(token, str)
        known_remotes()

    counted(**feed(take, seeds, (Error,), inputs_of_slow))


def test_signature_in_a_file(tmp_path, counted, inputs_of_slow):
    path = tmp_path / "a.runfmt"
    path.write_bytes(b"abc")
    key = PublicKey(b"12345678", bytes(32))
    seeds = [b"untrusted comment: x\n%s\ntrusted comment: y\n%s\n" % (b"RUQx" + b"A" * 96, b"A" * 86 + b"==")]

    def take(data):
        (tmp_path / "a.runfmt.minisig").write_bytes(data)
        with pytest.raises(BadSignature):
            verify(path, {"ann": key})

    counted(**feed(take, seeds, (), inputs_of_slow))


# The server


class _Asked:
    """A server in memory, asked through its own interface."""

    def __init__(self, data: Path) -> None:
        self.service = Service.of(data)
        self.app = app.make_app(self.service, is_open=True, limit=RateLimit(1e9, 1e9))
        self.loop = asyncio.new_event_loop()

    def __call__(
        self, method: str, where: str, query: bytes = b"", body: bytes = b"", **headers: bytes
    ) -> int:
        status, bodies = [], [body]

        async def receive():
            if bodies:
                return {"type": "http.request", "body": bodies.pop(), "more_body": False}
            return await asyncio.Event().wait()  # the caller stays

        async def send(message):
            status.append(message.get("status"))

        named = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": where, "query_string": query, "headers": named}
        self.loop.run_until_complete(self.app(scope, receive, send))
        return status[0]

    def close(self) -> None:
        self.service.close()
        self.loop.close()


@pytest.fixture
def asked(tmp_path):
    (tmp_path / "data").mkdir()
    make_run(tmp_path / "data", count=3)
    asked = _Asked(tmp_path / "data")
    yield asked
    asked.close()


@pytest.mark.parametrize(
    "what",
    ["bundles", "have", "fetch", "edits", "curves", "keys", "objects", "pulse", "query", "path", "header"],
)
def test_request_of_anybody(tmp_path, counted, inputs_of_slow, asked, what):
    """Is never answered as a fault of the server, and changes nothing outside of its folder."""
    uid = read(tmp_path / "data" / "first" / "run.json")["uid"]
    make_run(tmp_path / "elsewhere", "other", count=2)
    curve = {"uid": uid, "key": "loss"}
    bodies = {
        "have": {"runs": [{"uid": uid, "digest": "", "streams": {"metrics.jsonl": 3}}]},
        "fetch": {"spans": [{"uid": uid, "path": "metrics.jsonl", "offset": 0, "length": 9}]},
        "curves": {"curves": [curve, {**curve, "x": "loss"}], "x": "_step", "points": 3, "from": 0, "to": 9},
        "keys": {"uids": [uid]},
        "objects": {"uids": [uid], "key": "x", "step": 0, "many": 2},
        "pulse": {"uids": [uid]},
    }
    seeds = {
        "bundles": [bundle_of(tmp_path / "elsewhere" / "other"), *BUNDLES],
        "edits": EDITS,
        "query": [b"limit=3&after=a&project=p&id=first&uid=" + uid.encode(), b"limit=" + b"9" * 5000],
        "path": [b"/v1/runs/%s/files/run.json" % uid.encode(), b"/v1/runs/%s" % uid.encode(), b"/web/app.js"],
        "header": [b"bytes=0-1", b"Bearer runfmt_00000000_" + b"a" * 43, b"http://localhost"],
    }
    outside = _fingerprint(tmp_path / "elsewhere")

    def take(data):
        if what == "edits":
            status = asked("PATCH", f"/v1/runs/{uid}/edits", body=data)
        elif what == "query":
            status = asked("GET", "/v1/runs", query=data)
        elif what == "path":
            status = asked("GET", data.decode("latin-1"))
        elif what == "header":
            told = {"range": data, "authorization": data, "if_none_match": data, "accept_encoding": data}
            status = asked("GET", f"/v1/runs/{uid}/files/run.json", **told)
        else:
            status = asked("POST", f"/v1/{what}", body=data)
        assert status < 500, status
        if status >= 400:
            raise FormatError("H001", str(status))

    given = seeds.get(what) or [json.dumps(bodies[what]).encode()]
    counted(**feed(take, given, (FormatError,), max(inputs_of_slow // 2, 100)))
    assert _fingerprint(tmp_path / "elsewhere") == outside
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "elsewhere", "state", "remotes.json"}
