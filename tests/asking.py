"""Requests to a server, and what to send: bundles, and questions about runs."""

from __future__ import annotations

import io
from typing import Any

import requests

from runfmt_sync import bundle, wire
from runfmt_sync.digests import KnownDigests
from runfmt_sync.extents import cut, open_entry
from runfmt_sync.inventory import take_inventory
from runfmt_sync.plan import Ask, Have, make_plan


class Client:
    """Requests to a server, each answered with the status that is expected, errors as problems (H002)."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, where: str, *, status: int = 200, **options: Any) -> requests.Response:
        answer = self.session.request(method, self.url + where, timeout=60, allow_redirects=False, **options)
        assert answer.status_code == status, (method, where, answer.status_code, answer.text)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if status >= 400 and method != "HEAD" and status != 416:
            assert answer.headers["Content-Type"] == "application/problem+json"
            said = answer.json()
            assert said["status"] == status
            assert isinstance(said["title"], str)
            assert isinstance(said["detail"], str)
        return answer

    def json(self, method: str, where: str, *, status: int = 200, **options: Any) -> Any:
        return self(method, where, status=status, **options).json()

    def have(self, uid: str, digest: str = "", streams: dict[str, int] | None = None, **more: Any) -> Any:
        """What is there of one run, None if it is the same."""
        ask = {"uid": uid, "digest": digest, "streams": streams or {}}
        return self.json("POST", "/v1/have", json={"runs": [ask], **more})["runs"].get(uid)

    def send(self, body: bytes, *, status: int = 200, coding: str | None = None) -> Any:
        """Send a bundle; gives what was refused."""
        headers = {"Content-Type": "application/x-tar", **({"Content-Encoding": coding} if coding else {})}
        said = self("POST", "/v1/bundles", data=body, headers=headers, status=status).json()
        return said.get("refused")


def bundle_of(*folders, change=lambda piece: piece, coding="identity"):
    """The bytes of a bundle with all of some runs; ``change`` gets each piece, and may leave it out."""

    def all_pieces():
        for folder in folders:
            ours = take_inventory(folder, KnownDigests(None))
            for span in make_plan(ours, Have(), {}).spans:
                with open_entry(folder, ours.entries[span.path]) as file:
                    for piece in cut(ours.uid, span, file):
                        if (changed := change(piece)) is not None:
                            yield changed

    file = io.BytesIO()
    with bundle.packed(file, coding) as packed:
        bundle.write(packed, {}, bundle.groups(all_pieces()))
    return file.getvalue()


def asked_about(folder):
    """A run as it is asked about in ``have``."""
    ask = Ask.about(take_inventory(folder, KnownDigests(None)))
    return wire.asks_to_json([ask], believe=True)["runs"][0]
