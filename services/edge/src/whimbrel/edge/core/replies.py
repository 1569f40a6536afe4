"""Frames that the edge writes itself, as bytes. Publications are not here: they are spliced, not encoded."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring

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


def connected_frames(
    request: int,
    session: str,
    identified: Identified,
    terms: Terms,
    results: Mapping[str, Opened | NotOpened],
    *,
    wall: float,
) -> list[bytes]:
    """Return the `connected` frame at ``wall`` (Unix seconds), and behind it the publications that did not fit in."""
    budget = Budget()
    channels: list[bytes] = []
    behind: list[bytes] = []
    for name, result in results.items():
        members, rest = encode_subscription(result, budget)
        if isinstance(result, NotOpened):
            channels.append(b"%b:{%b}" % (_quoted(name), members))
        else:  # whose name has passed the grammar
            channels.append(b'"%b":{%b}' % (name.encode(), members))
        if rest:
            behind += publication_frames(name.encode(), rest)
    identity, grant = identified.identity, identified.grant
    connected = b'{"type":"connected","id":%d,"session":%b,"user":%b,"expires_in":%d,%b%b"channels":{%b}}' % (
        request,
        b'"%b"' % session.encode(),
        _quoted(identity.user),
        max(0, int(identity.expires - wall)),
        _granted_to_all(terms),
        b"" if grant is None else b'"resume":%b,' % _quoted(grant),
        b",".join(channels),
    )
    return [connected, *behind]


@lru_cache(maxsize=8)  # a pod has one; they are told apart by identity
def _granted_to_all(terms: Terms) -> bytes:
    limits = {"frame_bytes": terms.frame_bytes, "channels": terms.channels, "publish_per_s": terms.publish_per_s}
    fields = {"ping": terms.ping, "pong": terms.pong, "limits": limits}
    return json.dumps(fields, separators=(",", ":"))[1:-1].encode() + b","


def history_frame(request: int, epoch: str, publications: Sequence[Stored]) -> bytes:
    """Return the `ok` frame of a `history` request."""
    inside = b",".join(nested_publication(each.body, each.offset, each.prev) for each in publications)
    return b'{"type":"ok","id":%d,"epoch":"%b","publications":[%b]}' % (request, epoch.encode(), inside)


def _quoted(text: str) -> bytes:
    # A refused name is whatever the client sent.
    return encode_basestring(text).encode("utf-8", "replace")
