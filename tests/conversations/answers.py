"""What the scripted edge says, whole: the contract wants fields that a script need not spell out."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.conversations.commands import Json
from tests.conversations.script import Refusal

WELCOME: Final[Json] = {
    "type": "connected",
    "session": "s1",
    "user": "alice",
    "expires_in": 3600,
    "ping": 25,
    "pong": 10,
    "limits": {"frame_bytes": 65536, "channels": 128, "publish_per_s": 100},
    "resume": "grant-1",
}
USUAL: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "publication": {"event": "order.changed", "event_id": "id", "time": "2026-01-01T00:00:00Z"},
        "disconnect": {"slug": "closed", "reason": "", "reconnect": True, "after_ms": 0},
        "policy": {"cohort": "all", "heartbeat": {"ping": 25, "pong": 10}, "poll": {"interval": 15}},
        "unsubscribed": {"slug": "permission_denied", "reason": ""},
        "error": {"message": "", "temporary": False},
    }
)


def whole(frame: Json) -> Json:
    """Return ``frame`` with what the contract wants of its type, down to its publications."""
    filled = USUAL.get(frame["type"], {}) | _subscription(frame)
    if "channels" in filled:
        subscriptions = {name: {"publications": []} | each for name, each in filled["channels"].items()}
        filled["channels"] = {name: _subscription(each) for name, each in subscriptions.items()}
    return filled


def refusal(said: Refusal) -> bytes:
    """Return the HTTP answer of an edge, or of a proxy in front of it."""
    headers = "" if said.retry_after is None else f"Retry-After: {said.retry_after}\r\n"
    if said.code is None:
        page, kind = b"<h1>a proxy's page</h1>", "text/html"
    else:
        more = {} if said.retry_after_ms is None else {"retry_after_ms": said.retry_after_ms}
        told = {"title": said.slug, "status": said.status, "code": said.code, "slug": said.slug, "detail": said.slug}
        page, kind = json.dumps(told | more).encode(), "application/problem+json"
    head = f"HTTP/1.1 {said.status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(page)}\r\n{headers}\r\n"
    return head.encode() + page


def _subscription(frame: Json) -> Json:
    """Fill what a channel's state shares with the frames around it."""
    filled = dict(frame)
    if "publications" in frame:
        filled["publications"] = [USUAL["publication"] | each for each in frame["publications"]]
    if isinstance(frame.get("error"), dict):
        filled["error"] = {"message": ""} | frame["error"]
    return filled
