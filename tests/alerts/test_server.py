"""A server tells what comes to it, as its folder says, and once, however many processes it has."""

import json
import signal
import time
from collections import Counter

import psutil
import pytest

from alerts.telling import alert, ended, write_events
from runfmt_sync.alerts.targets import Home
from runmaker import make_run, read, write


@pytest.fixture
def serve(runfmt, work):
    """Start a server of ./data; gives its process and its address."""
    started = []

    def serve(*words):
        process = runfmt.start("serve", "--data", "data", "--port", "0", *words)
        started.append(process)
        return process, process.stdout.readline().split()[-1]

    yield serve
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


def test_server_tells_what_comes_to_it(runfmt, runs, serve, http, work):
    _, url = serve()
    runfmt("alerts", "add", http.url, "--data", "data")
    assert Home.of_store(work / "data" / ".runfmt").path.stat().st_mode & 0o777 == 0o600
    run = make_run(runs, state="running")
    write_events(run, alert("a"))
    runfmt("sync", runs, "--remote", url)
    http.wait(lambda sink: sink.titles == ["n: a"])
    write_events(run, ended("failed", 1))
    write(run / "run.json", {**read(run / "run.json"), "state": "failed"})
    runfmt("sync", runs, "--remote", url)
    http.wait(lambda sink: sink.titles == ["n: a", "n failed"])
    assert runfmt.json("alerts", "list", "--data", "data")[0]["name"] == "json"
    assert runfmt.json("alerts", "list") == []


def test_server_says_that_nothing_arrives(runfmt, runs, serve, http, work):
    _, url = serve()
    runfmt("alerts", "add", http.url, "--data", "data", "--on", "crash")
    run = make_run(runs, state="running")
    for path in ("metrics.jsonl", "events.jsonl"):
        (run / path).write_bytes(b"")
    write_events(run, {"event": "start", "_timestamp": time.time() - 299})
    runfmt("sync", runs, "--remote", url)
    http.wait(lambda sink: sink.titles == ["n crashed"])


def test_two_servers_tell_by_their_own_settings(runfmt, runs, serve, http, work):
    _, url = serve()
    _, other = serve("--data", "other")
    runfmt("alerts", "add", http.url, "--data", "other")
    write_events(make_run(runs), alert("a"))
    runfmt("sync", runs, "--remote", url)
    runfmt("sync", runs, "--remote", other)
    http.wait(lambda sink: sink.titles == ["n: a"])


def test_workers_tell_once_and_one_that_dies_is_followed_by_another(runfmt, runs, serve, http, work):
    process, url = serve("--workers", "3")
    runfmt("alerts", "add", http.url, "--data", "data")
    run = make_run(runs, state="running")
    for number in range(5):
        write_events(run, alert(str(number)))
        runfmt("sync", runs, "--remote", url)
        http.wait(lambda sink, number=number: len(sink.told) > number)
        workers = psutil.Process(process.pid).children()
        for worker in workers[:2]:
            worker.send_signal(signal.SIGKILL)
    assert Counter(http.titles) == {f"n: {number}": 1 for number in range(5)}


def test_killed_server_tells_the_rest_when_it_is_back(runfmt, runs, serve, http, work):
    runfmt("alerts", "add", http.url, "--data", "data")
    run = make_run(runs, state="running")
    for number in range(3):
        process, url = serve()
        write_events(run, alert(str(number)))
        runfmt("sync", runs, "--remote", url)
        process.kill()
        process.wait(60)
    serve()
    http.wait(lambda sink: len(sink.told) == 3)
    assert Counter(http.titles) == {f"n: {number}": 1 for number in range(3)}


def test_settings_of_a_server_are_seen_by_nobody_over_http(runfmt, runs, serve, http):
    import requests

    _, url = serve()
    runfmt("alerts", "add", http.url, "--data", "data")
    make_run(runs)
    runfmt("sync", runs, "--remote", url)
    listed = requests.get(f"{url}/v1/runs", timeout=60).text
    assert "secretpassword" not in listed
    assert len(json.loads(listed)["runs"]) == 1
    assert requests.get(f"{url}/.runfmt/alerts.json", timeout=60).status_code == 404
