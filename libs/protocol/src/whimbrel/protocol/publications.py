"""Publications as they are stored, and as they are written to clients.

What a history stream stores is the *publication body*: a compact JSON object with ``event``, ``event_id``, ``time``
and ``data``, in an inbox also ``topic`` and ``expires`` where its team asked for them. The edge puts channel, offset,
prev and trace in front of it without parsing the JSON, once per publication and not per subscriber.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pydantic_core

from whimbrel.protocol.errors import MalformedBody

_BODY_START: Final = b'{"event":"'
_BODY_END: Final = b"}"
_DATA: Final = b'","data":'  # ends the head: the quotes within a JSON string are escaped, so it occurs nowhere before

# Headers on messages of the bus
MSG_ID: Final = "Nats-Msg-Id"
SEQUENCE: Final = "Nats-Sequence"
LAST_SEQUENCE: Final = "Nats-Last-Sequence"
STORED_AT: Final = "Nats-Time-Stamp"  # when the stream stored it, RFC 3339 with nanoseconds
TRACEPARENT: Final = "traceparent"
TRACEPARENT_PATTERN: Final = r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"

# Header of a domain event that says when it happened, as CloudEvents spells it, and the form of what it says
TIME: Final = "ce-time"
TIME_FORM: Final = "RFC 3339, e.g. 2026-11-23T06:00:00Z or 2026-11-23T07:00:00.5+01:00"
_TIME: Final = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)

# Audience headers of a domain event: who hears of it besides whom the routes name
AUDIENCE_USERS: Final = "whimbrel-users"
AUDIENCE_GROUPS: Final = "whimbrel-groups"
AUDIENCE_CHANNELS: Final = "whimbrel-channels"

# Headers of a domain event that say how its publications live in inboxes; in other channels they mean nothing
TTL: Final = "whimbrel-ttl"  # seconds
TOPIC: Final = "whimbrel-topic"
WITHDRAW: Final = "whimbrel-withdraw"  # the id of the event that is not true any more
WITHDRAW_TOPIC: Final = "whimbrel-withdraw-topic"
TOPIC_PATTERN: Final = r"[A-Za-z0-9_\-:=@~]{1,64}"
WITHDRAWN: Final = "whimbrel.withdrawn"  # the `event` of a publication that takes another one back

# Headers on a dead letter
REASON_CODE: Final = "whimbrel-reason-code"
REASON: Final = "whimbrel-reason"
ORIGINAL_SUBJECT: Final = "whimbrel-subject"
ORIGINAL_SEQUENCE: Final = "whimbrel-sequence"


class PublicationBody(NamedTuple):
    """A publication before it has a position. ``time`` and ``expires`` are RFC 3339; ``data`` any JSON value."""

    event: str
    event_id: str
    time: str
    data: Any
    topic: str | None = None
    expires: str | None = None


def encode_body(
    event: str, event_id: str, time: str, data: bytes, *, topic: str | None = None, expires: str | None = None
) -> bytes:
    """Return the stored form; ``data`` is JSON text already and is not parsed."""
    fields = {"event": event, "event_id": event_id, "time": time}
    if topic is not None:
        fields["topic"] = topic
    if expires is not None:
        fields["expires"] = expires
    return b'%b,"data":%b}' % (pydantic_core.to_json(fields)[:-1], data)


def decode_body(body: bytes) -> PublicationBody:
    """Read a stored body.

    Raises MalformedBody.
    """
    try:
        fields = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedBody(f"{body[:40]!r}… is not JSON") from error
    match fields:
        case {"event": str(event), "event_id": str(event_id), "time": str(time), "data": data}:
            return PublicationBody(event, event_id, time, data, fields.get("topic"), fields.get("expires"))
        case _:
            raise MalformedBody(f"{body[:40]!r}… is not a publication body")


def read_head(body: bytes) -> Mapping[str, Any]:
    """Return the fields of a stored body before its data; none where it is no body."""
    end = body.find(_DATA)
    try:
        fields = pydantic_core.from_json(body[: end + 1] + _BODY_END) if end >= 0 else {}
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def is_time(text: str) -> bool:
    """Tell whether ``text`` is a time as events and publications bear it (``TIME_FORM``)."""
    return _TIME.fullmatch(text) is not None


def is_body(body: bytes) -> bool:
    """Tell by its ends whether ``body`` can be spliced into a frame: a stray message on the bus breaks no client."""
    return body.startswith(_BODY_START) and body.endswith(_BODY_END)


def publication_frame(channel: bytes, body: bytes, offset: int, prev: int, trace: bytes = b"") -> bytes:
    """Return the JSON of a `publication` frame of a durable channel.

    ``channel`` is the name as clients see it (nothing in it needs escaping); ``trace`` a traceparent, empty when it is
    not sampled.
    """
    if trace:
        return b'{"type":"publication","channel":"%b","offset":%d,"prev":%d,"trace":"%b",%b' % (
            channel,
            offset,
            prev,
            trace,
            body[1:],
        )
    return b'{"type":"publication","channel":"%b","offset":%d,"prev":%d,%b' % (channel, offset, prev, body[1:])


def position_frame(channel: bytes, offset: int, prev: int) -> bytes:
    """Return the JSON of a `position` frame: it stands for a publication that is not shown."""
    return b'{"type":"position","channel":"%b","offset":%d,"prev":%d}' % (channel, offset, prev)


def ephemeral_frame(channel: bytes, body: bytes, trace: bytes = b"") -> bytes:
    """Return the JSON of a `publication` frame of an ephemeral channel: it has no position."""
    if trace:
        return b'{"type":"publication","channel":"%b","trace":"%b",%b' % (channel, trace, body[1:])
    return b'{"type":"publication","channel":"%b",%b' % (channel, body[1:])


def nested_publication(body: bytes, offset: int, prev: int) -> bytes:
    """Return the JSON of a publication inside a subscription or a history answer, where the channel stands outside."""
    return b'{"offset":%d,"prev":%d,%b' % (offset, prev, body[1:])
