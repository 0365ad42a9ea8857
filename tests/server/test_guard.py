"""Whom the server hears, how it ends, and what it tells of itself (H007)."""

import asyncio
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from asking import Client, bundle_of
from runfmt.errors import CommError, UsageError
from runfmt_sync import store
from runfmt_sync.push import Push
from runfmt_sync.remotes import open_remote
from runfmt_sync.server import app, exchange
from runfmt_sync.server.guard import RateLimit, host_of
from runfmt_sync.server.serve import Server
from runfmt_sync.server.service import Service
from runfmt_sync.server.tokens import TokenFile, Tokens
from runfmt_sync.store import Store
from runmaker import assert_same, contents, make_run, read, rows, runs_in
from serving import ServerProcess, serving


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:80", "127.0.0.1:9"])
def test_loopback_goes_by_its_names(client, host):  # H007
    client("GET", "/v1", headers={"Host": host})


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[", "a@b"]
)
def test_page_whose_name_leads_here_is_not_heard(client, host):  # H007
    for where in ("/v1", "/healthz", "/v1/runs"):
        client("GET", where, headers={"Host": host}, status=421)


def test_server_goes_by_the_names_it_was_given(data):  # H007
    token = _token(data)
    with serving(data, host_names=["Runs.example.org"]) as server:
        client = Client(server.url, token)
        with client.session:
            client("GET", "/v1", headers={"Host": "runs.example.org"})
            client("GET", "/v1")
            client("GET", "/v1", headers={"Host": "other.example.org"}, status=421)


def test_page_of_another_site_may_not_ask(client, server, data, runs):  # H007
    body = bundle_of(make_run(runs))
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        client("POST", "/v1/bundles", data=body, headers={"Origin": origin}, status=403)
    assert runs_in(data) == {}
    client("GET", "/v1", headers={"Origin": server.url})


@pytest.mark.parametrize(
    ("header", "host"),
    [("a:1", "a"), ("[::1]:1", "::1"), ("A.b", "a.b"), ("", ""), ("[x", ""), ("a/b", "a"), ("u@a:1", "a")],
)
def test_host_is_what_stands_before_the_port(header, host):
    assert host_of(header) == host


def test_rate_limit_lets_a_burst_in_and_then_one_after_the_other():  # H007
    now = [100.0]
    limit = RateLimit(rate=2, burst=3, clock=lambda: now[0])
    assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.wait("b") == 0
    now[0] += 0.5
    assert [limit.wait("a") for _ in range(2)] == [0, 0.5]
    now[0] += 100
    assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_caller_that_asks_too_much_is_told_to_wait(data, monkeypatch):  # H007
    monkeypatch.setattr(app, "RATE", 0.001)
    monkeypatch.setattr(app, "BURST", 2)
    with serving(data) as server:
        client = Client(server.url)
        with client.session:
            client("GET", "/v1")
            client("GET", "/v1")
            assert int(client("GET", "/v1", status=429).headers["Retry-After"]) > 0
            client("GET", "/healthz")


def _token(data):
    there = Store(data)
    there.prepare()
    return Tokens(TokenFile(there)).add("ann", ["admin"])


@pytest.mark.parametrize("options", [{"host": "0.0.0.0"}, {"host_names": ["runs.example.org"]}])
def test_server_for_others_is_not_started_without_tokens(data, options):
    with pytest.raises(UsageError, match="runfmt token add"):
        Server(data, **options)
    token = _token(data)
    with serving(data, **options) as server:
        where = server.url.replace("0.0.0.0", "127.0.0.1")
        with Client(where, token).session as session:
            assert session.get(f"{where}/v1").ok
        Tokens(TokenFile(server.service.store)).revoke("ann")
        assert requests.get(f"{where}/v1", timeout=60).status_code == 401  # never open again


def test_taken_port_is_said(data, server):
    with pytest.raises(CommError, match="take another --port"):
        Server(data.parent / "other", port=int(server.url.rpartition(":")[2]))


def test_tokens_lie_hashed_and_private(data):
    token = _token(data)
    path = data / ".runfmt" / "tokens.json"
    assert token not in path.read_text()
    assert token[len("runfmt_00000000_") :] not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_health_says_whether_runs_can_be_taken(client, data):
    assert client.json("GET", "/healthz") == {"status": "ok"}
    (data / ".runfmt").rename(data / ".gone")
    client("GET", "/healthz", status=503)


def test_metrics_count_what_happened(client, data, runs):
    body = bundle_of(make_run(runs))
    client.send(body)
    client("GET", "/nowhere", status=404)
    text = client("GET", "/metrics").text
    values = dict(re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.MULTILINE))
    assert values['runfmt_requests_total{method="POST",status="200"}'] == "1"
    assert values['runfmt_requests_total{method="GET",status="404"}'] == "1"
    assert values["runfmt_runs"] == "1"
    assert float(values["runfmt_received_bytes_total"]) == len(body)
    assert float(values["runfmt_applied_extents_total"]) == len(contents(runs / "first"))
    assert float(values["runfmt_applied_bytes_total"]) == sum(map(len, contents(runs / "first").values()))
    assert float(values["runfmt_apply_seconds_total"]) > 0
    assert values["runfmt_refused_runs_total"] == "0"
    families = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    assert {name for name, _ in families} == {name.partition("{")[0] for name in values}


def test_metrics_are_not_for_everybody(client, with_token):
    his = with_token("read")
    client("GET", "/metrics", status=401)
    his("GET", "/metrics")


def test_every_write_leaves_a_line(with_token, data, runs):
    his = with_token("admin")
    run = make_run(runs)
    uid = read(run / "run.json")["uid"]
    his.send(bundle_of(run))
    his("PATCH", f"/v1/runs/{uid}/edits", data='{"/notes": {"value": "x", "time": 1, "author": "x"}}')
    his("DELETE", f"/v1/runs/{uid}")
    his.send(bundle_of(run))
    his("GET", "/v1/runs")
    lines = [json.loads(line) for line in (data / ".runfmt" / "audit.jsonl").read_text().splitlines()]
    assert [(line["caller"], line["what"], line["uid"]) for line in lines] == [
        ("ann", what, uid) for what in ("append", "edit", "delete", "append")
    ]
    assert lines[0]["bytes"] == sum(map(len, contents(run).values()))
    assert "deleted" in lines[3]["refused"]


def _begin_upload(url, body):
    """A request whose body comes later; when this returns, the server has asked for it."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    lines = [
        "POST /v1/bundles HTTP/1.1",
        f"Host: {host}",
        "Expect: 100-continue",
        f"Content-Length: {len(body)}",
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    assert connection.recv(1000).startswith(b"HTTP/1.1 100")
    return connection


def _is_refused(url):
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=60).close()
    except ConnectionError:  # refused, or reset as the door closes
        return True
    return False


def test_sigterm_lets_requests_end(data, runs):
    body = bundle_of(make_run(runs))
    with ServerProcess(data) as server, _begin_upload(server.url, body) as connection:
        connection.sendall(body[:1000])
        server.process.terminate()
        while not _is_refused(server.url):
            pass
        assert server.process.poll() is None
        connection.sendall(body[1000:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert server.wait() in (0, -15)
    assert_same(runs, data)


def test_answers_are_sent_without_delay(server):
    """What is accepted inherits it: no answer waits for an acknowledgement of its first packet."""
    assert server.listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_caller_that_falls_silent_is_let_go(data, monkeypatch):
    monkeypatch.setattr(exchange, "IDLE", 0.05)
    with serving(data) as server, _begin_upload(server.url, b"x" * 1000) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


class _Clock(asyncio.SelectorEventLoop):
    """An event loop whose time a test lets go on."""

    passed = 0.0

    def time(self):
        return super().time() + self.passed


def _upload(data, body, pause):
    """The status for a bundle whose bytes come in three parts, after so many seconds each."""
    service, loop, status = Service.of(data), _Clock(), []
    application = app.make_app(service, is_open=True)
    scope = {"type": "http", "method": "POST", "path": "/v1/bundles", "query_string": b"", "headers": []}
    parts = [body[:1000], body[1000:2000], body[2000:]]

    async def receive():
        loop.passed += pause
        await asyncio.sleep(0)  # what was to happen at that time happens
        await asyncio.sleep(0)
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message):
        status.append(message.get("status"))

    try:
        loop.run_until_complete(application(scope, receive, send))
    finally:
        loop.close()
        service.close()
    return status[0]


def test_upload_that_trickles_is_waited_for(data, runs):
    """What counts is the time since bytes came, not the time of all."""
    body = bundle_of(make_run(runs))
    assert _upload(data, body, 1.1 * exchange.IDLE) == 408
    assert runs_in(data) == {}
    assert _upload(data, body, 0.6 * exchange.IDLE) == 200
    assert_same(runs, data)


def test_caller_that_goes_away_leaves_nothing(data, runs):
    body = bundle_of(make_run(runs))
    with serving(data) as server:
        with _begin_upload(server.url, body) as connection:
            connection.sendall(body[:-1])
        client = Client(server.url)
        with client.session:
            while 'status="400"' not in client("GET", "/metrics").text:
                pass
    assert runs_in(data) == {}
    assert not (data / ".incoming").exists()


def test_pushers_of_the_same_and_of_other_runs_disturb_nobody(data, runs, monkeypatch, server):
    """Eight at once, five of them with the same growing runs: all is there, once."""
    shared = [make_run(runs, f"shared{number}", count=30) for number in range(4)]
    own = [[make_run(runs / f"of{pusher}", f"own{number}") for number in range(3)] for pusher in range(8)]
    together = threading.Barrier(8)

    def push(pusher):
        found = []
        for step in range(5):
            together.wait(60)
            if pusher == 0:
                for run in shared:
                    with open(run / "metrics.jsonl", "ab") as stream:
                        stream.write(rows(100 + step, 1))
            one = Push(open_remote(server.url))
            found += one.run([*(shared if pusher < 5 else []), *own[pusher]])
            assert one.fault is None
        return found

    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for found in pool.map(push, range(8)) for outcome in found]
    assert {outcome.status for outcome in outcomes} <= {"synced", "unchanged"}, outcomes
    again = Push(open_remote(server.url)).run([*shared, *(run for some in own for run in some)])
    assert {outcome.status for outcome in again} <= {"synced", "unchanged"}
    assert_same(runs, data)


def test_name_that_another_run_takes_just_now_is_left_to_it(client, data, runs, monkeypatch):
    taken = []

    def take(point):
        if point == "store.before-publish" and not taken:
            taken.append(make_run(data, "first"))

    monkeypatch.setattr(store, "fault_point", take)
    assert client.send(bundle_of(make_run(runs))) == {}
    assert len(runs_in(data)) == 2
    assert contents(data / read(runs / "first" / "run.json")["uid"][-8:] / "first") == contents(
        runs / "first"
    )
