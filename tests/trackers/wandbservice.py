"""A service that W&B's own package takes for W&B: the calls that are needed, rows kept by number of line.

What is sent to a line that is there replaces it, as at W&B; so a client that sends rows again, behind
those that are there, has them twice.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


@dataclass
class Bucket:
    """A run: ``about`` by the words of GraphQL, lines of each stream by number, files by name."""

    about: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, dict[int, str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    state: str = "running"
    is_preempting: bool = False

    def rows(self) -> list[dict[str, Any]]:
        """The history, in the order of its lines."""
        lines = self.streams.get("wandb-history.jsonl", {})
        return [json.loads(line) for _, line in sorted(lines.items())]

    @property
    def config(self) -> dict[str, Any]:
        """The config, as people see it."""
        return {key: item["value"] for key, item in json.loads(self.about.get("config") or "{}").items()}

    @property
    def summary(self) -> dict[str, Any]:
        """The summary."""
        found: dict[str, Any] = json.loads(self.streams.get("wandb-summary.json", {}).get(0, "{}"))
        return found


class Service:
    """The service on a port of its own; ``asked`` counts its calls, ``break_off`` makes some fail."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.asked: Counter[str] = Counter()
        self.broken: Callable[[str], int | None] = lambda what: None
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert not self._server.problems, self._server.problems

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body for a call."""
        with self._lock:
            if path == "/graphql":
                asked = json.loads(body)
                name = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])[1]  # type: ignore[index]
            elif path.endswith("/file_stream"):
                name = "file_stream"
            else:
                name = f"{method} file"
            self.asked[name] += 1
            if status := self.broken(name):
                return status, b'{"errors": [{"message": "out of order"}]}'
            if path == "/graphql" and not hasattr(self, f"_{name}"):
                return 400, json.dumps({"errors": [{"message": f"{name} is not known here"}]}).encode()
            if path == "/graphql":
                return 200, json.dumps({"data": getattr(self, f"_{name}")(asked.get("variables"))}).encode()
            if name == "file_stream":
                return 200, self._stream(path.split("/")[-2], json.loads(body))
            run, _, file = unquote(path.removeprefix("/storage/")).partition("/")
            if method == "PUT":
                self.buckets[run].files[file] = body
            return 200, self.buckets[run].files[file]

    def _ServerFeaturesQuery(self, _: Any) -> Any:
        return {"serverInfo": {"features": []}}

    def _Viewer(self, _: Any) -> Any:
        return {"viewer": {"id": "1", "entity": "e", "username": "u", "flags": "{}", "teams": {"edges": []}}}

    def _RunResumeStatus(self, asked: Any) -> Any:
        bucket = self.buckets.get(asked["name"])
        return {"model": {"id": "m", "name": "p", "entity": {"id": "e", "name": "e"}, "bucket": bucket and {
            **self._shown(asked["name"], bucket),
            "logLineCount": len(bucket.streams.get("output.log", {})),
            "eventsLineCount": 0,
            "historyTail": json.dumps([*map(json.dumps, bucket.rows()[-1:])]),
            "eventsTail": "[]",
            "wandbConfig": json.dumps({"t": 1}),
        }}}  # fmt: skip

    def _UpsertBucket(self, asked: Any) -> Any:
        name = asked.get("name") or asked["id"].removeprefix("id:")
        inserted = name not in self.buckets
        bucket = self.buckets.setdefault(name, Bucket())
        bucket.about |= {key: value for key, value in asked.items() if value is not None}
        bucket.state = "running"
        return {"upsertBucket": {"bucket": self._shown(name, bucket), "inserted": inserted}}

    def _shown(self, name: str, bucket: Bucket) -> Any:
        keys = ("displayName", "notes", "tags", "config", "group", "jobType", "description")
        steps = [row["_step"] for row in bucket.rows()]
        return {
            **{key: bucket.about.get(key) for key in keys},
            "tags": bucket.about.get("tags") or [],
            "group": bucket.about.get("groupName"),
            "id": f"id:{name}",
            "name": name,
            "sweepName": None,
            "project": {"id": "m", "name": "p", "entity": {"id": "e", "name": "e"}},
            "projectId": 1,
            "state": bucket.state,
            "createdAt": "2026-01-01T00:00:00Z",
            "heartbeatAt": "2026-01-01T00:00:00Z",
            "systemMetrics": "{}",
            "summaryMetrics": json.dumps(bucket.summary),
            "historyLineCount": len(bucket.streams.get("wandb-history.jsonl", {})),
            "historyKeys": {"lastStep": max(steps, default=-1), "keys": {}, "sets": []},
            "user": {"name": "u", "username": "u"},
            "readOnly": False,
        }

    def _Run(self, asked: Any) -> Any:
        bucket = self.buckets.get(asked["name"])
        return {"project": {"run": bucket and self._shown(asked["name"], bucket)}}

    _RunHistoryKeys = _Run

    def _CreateRunFiles(self, asked: Any) -> Any:
        root = f"{self.url}/storage/{asked['run']}/"
        files = [{"name": name, "uploadUrl": root + name} for name in asked["files"]]
        return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}

    def _RunFiles(self, asked: Any) -> Any:
        files = self.buckets[asked["name"]].files
        names = [name for name in asked["fileNames"] if name in files]
        edges = [
            {"node": {"id": name, "name": name, "url": f"{self.url}/storage/{asked['name']}/{name}",
                      "directUrl": f"{self.url}/storage/{asked['name']}/{name}", "mimetype": "",
                      "sizeBytes": len(files[name]), "updatedAt": None, "md5": ""}, "cursor": name}
            for name in names
        ]  # fmt: skip
        page = {"endCursor": None, "hasNextPage": False}
        return {"project": {"internalId": "1", "run": {
            "fileCount": len(names), "files": {"edges": edges, "pageInfo": page}}}}  # fmt: skip

    def _NotifyScriptableRunAlert(self, asked: Any) -> Any:
        self.buckets[asked["runName"]].alerts.append(asked)
        return {"notifyScriptableRunAlert": {"success": True}}

    def _stream(self, name: str, body: Any) -> bytes:
        bucket = self.buckets[name]
        for stream, sent in body.get("files", {}).items():
            lines = bucket.streams.setdefault(stream, {})
            lines.update(enumerate(sent["content"], sent["offset"]))
        bucket.is_preempting |= body.get("preempting", False)
        if body.get("complete"):
            failed = "preempted" if bucket.is_preempting else "failed"
            bucket.state = failed if body.get("exitcode") else "finished"
        return b'{"exitcode": null, "limits": {}}'


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.problems: list[BaseException | None] = []

    def handle_error(self, *_: Any) -> None:
        """Remember what went wrong here; clients that were killed are no problem."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.problems.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, data = self.service.answer(self.command, self.path, body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""
