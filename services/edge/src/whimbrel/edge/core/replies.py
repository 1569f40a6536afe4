"""Frames that the edge writes itself, as bytes. Publications are not here: they are spliced, not encoded."""

import json
from collections.abc import Mapping, Sequence

from whimbrel.edge.core.effects import Identified
from whimbrel.edge.core.liveness import Terms
from whimbrel.edge.core.ring import Stored
from whimbrel.edge.core.subscription import Budget, NotOpened, Opened, encode_subscription, publication_frames
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.frames import Disconnect, Error, Unsubscribed, encode
from whimbrel.protocol.publications import nested_publication


def error_frame(refusal: Refused, request: int | None = None) -> bytes:
    """Return the `error` frame of ``refusal``; ``request`` is the `id` where the refusal does not know it."""
    frame_id = refusal.frame_id if refusal.frame_id is not None else request
    code = refusal.code
    return encode(
        Error(
            id=frame_id or None,
            code=code,
            slug=code.slug,
            message=refusal.message,
            temporary=code.temporary,
            retry_ms=refusal.retry_ms,
        )
    )


def disconnect_frame(code: CloseCode, reason: str, after_ms: int = 0) -> bytes:
    """Return the `disconnect` frame that precedes a close."""
    return encode(Disconnect(code=code, slug=code.slug, reason=reason, reconnect=code.reconnect, after_ms=after_ms))


def unsubscribed_frame(name: str, code: ErrorCode, reason: str) -> bytes:
    """Return the `unsubscribed` frame of a channel that the edge closed."""
    return encode(Unsubscribed(channel=name, code=code, slug=code.slug, reason=reason))


def subscribed_frames(name: str, result: Opened | NotOpened, request: int | None) -> list[bytes]:
    """Return the `subscribed` frame, and behind it the publications that did not fit into it."""
    members, rest = encode_subscription(result, Budget())
    head = b'{"type":"subscribed",' + (b'"id":%d,' % request if request else b"")
    return [head + b'"channel":%b,%b}' % (_quoted(name), members), *publication_frames(name.encode(), rest)]


def connected_head(
    request: int, session: str, identified: Identified, terms: Terms, *, wall: float
) -> Mapping[str, object]:
    """Return the fields of `connected`, without its channels, at ``wall`` (Unix seconds)."""
    grant = {} if identified.grant is None else {"resume": identified.grant}
    return {
        "type": "connected",
        "id": request,
        "session": session,
        "user": identified.identity.user,
        "expires_in": max(0, int(identified.identity.expires - wall)),
        "ping": terms.ping,
        "pong": terms.pong,
        "limits": {
            "frame_bytes": terms.frame_bytes,
            "channels": terms.channels,
            "publish_per_s": terms.publish_per_s,
        },
        **grant,
    }


def connected_frames(head: Mapping[str, object], results: Mapping[str, Opened | NotOpened]) -> list[bytes]:
    """Return the `connected` frame with its channels, and behind it the publications that did not fit into it."""
    budget = Budget()
    channels: list[bytes] = []
    behind: list[bytes] = []
    for name, result in results.items():
        members, rest = encode_subscription(result, budget)
        channels.append(b"%b:{%b}" % (_quoted(name), members))
        behind += publication_frames(name.encode(), rest)
    fields = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    return [b'%b,"channels":{%b}}' % (fields[:-1], b",".join(channels)), *behind]


def history_frame(request: int, epoch: str, publications: Sequence[Stored]) -> bytes:
    """Return the `ok` frame of a `history` request."""
    inside = b",".join(nested_publication(each.body, each.offset, each.prev) for each in publications)
    return b'{"type":"ok","id":%d,"epoch":"%b","publications":[%b]}' % (request, epoch.encode(), inside)


def _quoted(name: str) -> bytes:
    # A refused name is whatever the client sent.
    return json.dumps(name, ensure_ascii=False).encode("utf-8", "replace")
