"""Many runs come in few requests, whatever the network, the server or a liar does meanwhile."""

import io
import os
import shutil
import subprocess
import sys
from collections import Counter

import pandas as pd
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

import runfmt
from asking import Client
from remotes.proxy import FAULTS, BadProxy
from runfmt.layout import is_stream
from runfmt_sync import bundle
from runfmt_sync.digests import prove_bytes
from runfmt_sync.extents import Span, piece_of
from runfmt_sync.pull import chosen, pull
from runfmt_sync.remotes.directory import DirectoryRemote
from runfmt_sync.remotes.http import HttpRemote
from runfmt_sync.server import serve
from runfmt_sync.server.app import make_app
from runmaker import assert_same, contents, make_run, read, rows, runs_in, write
from serving import serving

PULL = """
import sys
from pathlib import Path
from runfmt_sync.pull import chosen, pull
from runfmt_sync.remotes import open_remote
remote = open_remote(sys.argv[1])
pull(remote, chosen(remote, ()), Path(sys.argv[2]))
"""


@pytest.fixture
def hundred(data):
    for number in range(100):
        make_run(data, f"run-{number}", project="ab"[number % 2])
    return data


@pytest.fixture
def asked(server):
    """How many requests were answered since the last time, by method and status."""
    before = Counter()

    def count():
        text = Client(server.url)("GET", "/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("runfmt_requests_total")]
        now = Counter({line.split("{")[1].split("}")[0]: int(float(line.split()[-1])) for line in lines})
        new = now - before
        before.update(new)
        return sum(new.values())

    count()
    return count


def pulled(url, folder, remote=None):
    """The status of each run that was brought, by id, and the fault."""
    remote = remote or HttpRemote(url, sleep=lambda _: None)
    outcomes, fault = pull(remote, chosen(remote, ()), folder)
    return {outcome.id: outcome.status for outcome in outcomes}, fault


def test_hundred_small_runs_are_pulled_in_a_handful_of_requests(hundred, server, runs, asked):
    asked()
    assert pulled(server.url, runs) == ({f"run-{number}": "synced" for number in range(100)}, None)
    assert asked() <= 2 + 2 * 2 + 1  # who it is, the list; twice what is there, and all of it
    assert_same(hundred, runs)


def test_large_files_cost_a_request_each(hundred, server, runs, asked):
    for number in range(5):
        (hundred / f"run-{number}" / "files" / "model").write_bytes(os.urandom(2**20 + 1))
    asked()
    assert pulled(server.url, runs)[1] is None
    assert asked() <= 2 + 2 * 2 + 1 + 5
    assert_same(hundred, runs)


def test_metrics_of_hundred_runs_are_read_in_a_handful_of_requests(hundred, server, asked):
    asked()
    theirs = runfmt.read_metrics(server.url)
    assert asked() <= 3 + 2 * 2 + 1
    pd.testing.assert_frame_equal(theirs.sort_index(), runfmt.read_metrics(hundred).sort_index())


def test_only_what_is_meant_is_fetched(hundred, server, monkeypatch):
    """Of a run that is named its own, and of a project that of its runs."""
    honest, wanted = HttpRemote.fetch, []

    def fetch(remote, spans):
        wanted.extend(spans)
        return honest(remote, spans)

    monkeypatch.setattr(HttpRemote, "fetch", fetch)
    run = runfmt.Api(server.url).runs("a")[3]
    assert not wanted
    assert len(run.history()) == 21
    assert {uid for uid, _ in wanted} == {read(hundred / run.id / "run.json")["uid"]}
    assert {span.path for _, span in wanted} == {"metrics.jsonl", "config.json", "run.json"}
    wanted.clear()
    runfmt.read_metrics(f"{server.url}/b")
    assert {uid for uid, _ in wanted} == {
        uid for uid, run in runs_in(hundred).items() if read(run / "run.json")["project"] == "b"
    }
    assert len(wanted) == 50 * 3


def test_metrics_that_are_large_or_change_meanwhile_are_read_too(hundred, server, monkeypatch):
    with open(hundred / "run-7" / "metrics.jsonl", "ab") as stream:
        stream.write(rows(100, 20_000))
    honest, meanwhile = HttpRemote.fetch, lambda: write(hundred / "run-9" / "config.json", {"lr": "new"})

    def fetch(remote, wanted):
        meanwhile()
        return honest(remote, wanted)

    monkeypatch.setattr(HttpRemote, "fetch", fetch)
    theirs = runfmt.read_metrics(server.url)
    pd.testing.assert_frame_equal(theirs.sort_index(), runfmt.read_metrics(hundred).sort_index())


def test_run_that_is_deleted_while_others_are_read_is_left_out(hundred, server, monkeypatch):
    honest = HttpRemote.have

    def have(remote, asks, **options):
        server.service.store.delete(read(hundred / "run-9" / "run.json")["uid"], "x")
        monkeypatch.undo()
        return honest(remote, asks, **options)

    monkeypatch.setattr(HttpRemote, "have", have)
    with pytest.warns(RuntimeWarning, match="run-9 was left out: .*gone"):
        found = runfmt.read_metrics(server.url)
    assert len({*found.index.get_level_values("run")}) == 99


def test_pull_of_many_that_was_killed_is_gone_on_with(hundred, server, runs):
    for hit in (100, 550):
        environment = os.environ | {"RUNFMT_FAULT": f"pull.extent:{hit}"}
        done = subprocess.run([sys.executable, "-c", PULL, server.url, runs], env=environment, check=False)
        assert done.returncode == -9
        for uid, run in runs_in(runs).items():
            assert contents(run) == contents(runs_in(hundred)[uid])
    assert 0 < len(runs_in(runs)) < 100
    assert pulled(server.url, runs)[1] is None
    assert_same(hundred, runs)


def test_pull_through_a_bad_proxy_brings_every_byte(data, server, runs):
    for number in range(20):
        make_run(data, f"run-{number}")
    met = Counter()
    for seed in range(15):
        with BadProxy(server.url, seed) as proxy:
            fault = pulled(proxy.url, runs / str(seed))[1]
            met += proxy.met
        if fault is None:
            assert_same(data, runs / str(seed))
    assert met.keys() >= {*FAULTS}
    assert fault is None


# What changes meanwhile


class Meanwhile(HttpRemote):
    """A remote at which something happens between the question what is there and that for the bytes."""

    def __init__(self, url, happens):
        super().__init__(url)
        self.happens = [happens]

    def fetch(self, wanted):
        while self.happens:
            self.happens.pop()()
        return super().fetch(wanted)


def test_run_that_grows_meanwhile_comes_as_it_was_or_is(hundred, server, runs):
    run = hundred / "run-9"

    def grow():
        with open(run / "metrics.jsonl", "ab") as stream:
            stream.write(rows(50, 3))
        write(run / "summary.json", {"loss": 0.125, "more": 1})
        (run / "files" / "requirements.txt").write_text("jaxes\n")  # as long as before

    statuses, fault = pulled(None, runs, Meanwhile(server.url, grow))
    assert (fault, {*statuses.values()}) == (None, {"synced"})
    assert_same(hundred, runs)


def test_run_that_is_deleted_meanwhile_leaves_nothing(hundred, server, runs):
    uid = read(hundred / "run-9" / "run.json")["uid"]
    remote = Meanwhile(server.url, lambda: server.service.store.delete(uid, "x"))
    statuses, fault = pulled(None, runs, remote)
    assert fault is None
    assert [name for name, status in statuses.items() if status != "synced"] == ["run-9"]
    assert_same(hundred, runs)


class Emptied(DirectoryRemote):
    """A folder from which a run is taken when the first file is read."""

    def read(self, uid, path, offset=0):
        shutil.rmtree(self.store.root / "b", ignore_errors=True)
        return super().read(uid, path, offset)


def test_run_that_is_taken_from_a_folder_meanwhile_stops_no_other(data, runs):
    for name in "abc":
        make_run(data, name)
    statuses, fault = pulled(None, runs, Emptied(str(data)))
    assert (statuses, fault) == ({"a": "synced", "b": "failed", "c": "synced"}, None)
    assert_same(data, runs)


# Servers that cannot, and servers that lie


@pytest.fixture
def without(data, monkeypatch):
    """A server with three runs that has no fetch."""
    for name in "abc":
        make_run(data, name)

    def make(service, **options):
        about = {"runfmt": 1, "store": service.store.id, "codings": ["identity"], "max_body": 2**26}
        missing = Route("/v1/fetch", lambda _: Response(status_code=404), methods=["POST"])
        here = Route("/v1", lambda _: JSONResponse(about))
        return Starlette(routes=[here, missing, Mount("/", make_app(service, **options))])

    monkeypatch.setattr(serve, "make_app", make)
    with serving(data) as server:
        yield server


def test_server_without_fetch_is_read_file_by_file(data, without, runs):
    assert pulled(without.url, runs) == (dict.fromkeys("abc", "synced"), None)
    assert_same(data, runs)
    theirs, ours = runfmt.read_metrics(without.url), runfmt.read_metrics(data)
    pd.testing.assert_frame_equal(theirs.sort_index(), ours.sort_index())


def bundle_of(pieces):
    file = io.BytesIO()
    bundle.write(file, {}, bundle.groups(pieces))
    return file.getvalue()


def honest(data, spans):
    """The pieces that are asked for."""
    for asked in spans:
        run = runs_in(data)[asked["uid"]]
        whole = contents(run)[asked["path"]]
        proof = None if is_stream(asked["path"]) else prove_bytes(whole)
        span = Span(asked["path"], asked["offset"], asked["offset"] + asked["length"], proof)
        yield piece_of(asked["uid"], span, whole[span.offset : span.end])


def true(data, spans):
    return bundle_of(honest(data, spans))


def other_bytes(data, spans):
    pieces = [*honest(data, spans)]
    extent, [body] = pieces[0]
    pieces[0] = piece_of(extent.uid, Span(extent.path, 0, extent.length), body.swapcase())
    return bundle_of(pieces)


def damaged(data, spans):
    made = bytearray(true(data, spans))
    made[made.index(b"torch")] ^= 1
    return bytes(made)


def not_asked(data, spans):
    extent, _ = next(honest(data, spans))
    return bundle_of([piece_of(extent.uid, Span("files/../../../escape", 0, 1), b"x"), *honest(data, spans)])


def of_another_run(data, spans):
    other = piece_of("0" * 8 + "-0000-0000-0000-" + "0" * 12, Span("files/x", 0, 2), b"{}")
    return bundle_of([other, *honest(data, spans)])


def too_much(data, spans):
    pieces = [*honest(data, spans)]
    return bundle_of([*pieces, pieces[-1]])


def backwards(data, spans):
    return bundle_of([*honest(data, spans)][::-1])


def cut_off(data, spans):
    return true(data, spans)[:-2000]


def bomb(data, spans):
    extent, _ = next(honest(data, spans))
    large = bytes(2**20)
    pieces = (piece_of(extent.uid, Span(f"files/{number}", 0, len(large)), large) for number in range(200))
    return zstandard.compress(bundle_of(pieces))


def endless(data, spans):
    return os.urandom(2**20) * 40


def nothing(data, spans):
    return b""


LIES = [damaged, not_asked, of_another_run, too_much, backwards, cut_off, bomb, endless, nothing]


@pytest.fixture
def lying(data, monkeypatch):
    """Servers that answer ``fetch`` by one lie after the other, the last again and again."""

    def make(*lies):
        left = [*lies]

        async def fetch(request: Request):
            lie = left.pop(0) if left[1:] else left[0]
            body = lie(data, (await request.json())["spans"])
            headers = {"Content-Encoding": "zstd"} if body[:4] == b"\x28\xb5\x2f\xfd" else {}
            return Response(body, media_type="application/x-tar", headers=headers)

        def app(*arguments, **options):
            honest = make_app(*arguments, **options)
            return Starlette(routes=[Route("/v1/fetch", fetch, methods=["POST"]), Mount("/", honest)])

        monkeypatch.setattr(serve, "make_app", app)
        return serving(data)

    return make


@pytest.mark.parametrize("lie", LIES)
def test_answer_that_is_none_is_refused(data, runs, lying, lie):
    """Whatever was good before it may be here; nothing else, and nothing that is no run of there."""
    make_run(data, "a")
    with lying(lie) as server:
        _, fault = pulled(server.url, runs)
    assert server.url in str(fault)
    assert runs_in(runs) == {}
    assert not [*runs.parent.rglob("escape*")]


@pytest.mark.parametrize("lie", [damaged, cut_off, nothing])
def test_answer_that_comes_wrong_is_asked_for_again(data, runs, lying, lie):
    make_run(data, "a")
    with lying(lie, true) as server:
        assert pulled(server.url, runs) == ({"a": "synced"}, None)
    assert_same(data, runs)


def test_bytes_that_are_not_those_of_the_run_are_never_seen(data, runs, lying):
    make_run(data, "a")
    make_run(data, "b")
    with lying(other_bytes) as server:
        statuses, fault = pulled(server.url, runs)
    assert fault is None
    assert sorted(statuses.values()) == ["failed", "synced"]
    [(uid, run)] = runs_in(runs).items()
    assert contents(run) == contents(runs_in(data)[uid])
