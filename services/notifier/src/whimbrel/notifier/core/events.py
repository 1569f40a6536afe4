"""Domain events: CloudEvents 1.0 as they come from the stream → frozen ``Event``.

Binary mode: attributes in `ce-` headers, the payload is the data. Structured mode (`content-type:
application/cloudevents+json`): everything in the payload, see ``structured``. Missing attributes get stated defaults,
so that a team can begin with nothing but a subject and JSON.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import pydantic_core

from whimbrel.notifier.core import structured
from whimbrel.notifier.core.errors import Reason, Undeliverable
from whimbrel.notifier.core.identity import default_event_id
from whimbrel.notifier.core.inbox import PLAIN, Terms, read_terms
from whimbrel.protocol.channels import NAME_PATTERN, Channel
from whimbrel.protocol.errors import MalformedChannel
from whimbrel.protocol.limits import MAX_EVENT_BYTES, MAX_EVENT_NAME_CHARS
from whimbrel.protocol.publications import (
    AUDIENCE_CHANNELS,
    AUDIENCE_GROUPS,
    AUDIENCE_USERS,
    TIME_FORM,
    TRACEPARENT,
    TRACEPARENT_PATTERN,
    is_time,
)

SPEC_VERSION: Final = "1.0"
STRUCTURED_MODE: Final = "application/cloudevents"  # with +json; any other suffix is refused

MAX_ID_CHARS: Final = 256  # travels in every publication; a UUID has 36
MAX_SOURCE_CHARS: Final = 512
MAX_MEMBER_CHARS: Final = 512  # a user or a group; as long as a token's `sub` may be

_SUBJECT: Final = re.compile(rf"events\.([a-z0-9_-]+)\.([a-z0-9_-]+)\.({NAME_PATTERN})")
_TRACEPARENT: Final = re.compile(TRACEPARENT_PATTERN)
_LINE_BREAKS: Final = b"\r\n"


class Message(NamedTuple):
    """An event as the stream keeps it, before anyone looked inside.

    ``subject`` as published (`events.…`); ``stored_at_ns`` Unix nanoseconds; header names as the sender spelt them.
    """

    subject: str
    sequence: int
    stored_at_ns: int
    headers: Mapping[str, str]
    payload: bytes


class Event(NamedTuple):
    """A domain event that obeys the contract. ``data`` is JSON text on one line, ``value`` the same parsed."""

    id: str
    source: str
    type: str
    time: str
    domain: str
    entity: str
    entity_id: str
    data: bytes
    value: Any
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    traceparent: str = ""
    terms: Terms = PLAIN


def parse(message: Message, *, epoch: str) -> Event:
    """Read ``message``; ``epoch`` is that of stream EVENTS.

    Defaults: `id` `<epoch>-<sequence>`, `source` `/<domain>`, `type` `<entity>.event`, `time` when it was stored, no
    payload: `null`. A malformed `traceparent` counts as none, as W3C asks. Raises Undeliverable.
    """
    match = _SUBJECT.fullmatch(message.subject)
    if match is None:
        raise Undeliverable(
            Reason.BAD_SUBJECT,
            f"{message.subject[:200]!r} is not events.<domain>.<entity>.<id>: domain and entity in a-z 0-9 _ -, "
            "the id as the name of a channel",
        )
    domain, entity, entity_id = match.groups()
    if len(message.payload) > MAX_EVENT_BYTES:
        raise Undeliverable(
            Reason.TOO_LARGE, f"the payload has {len(message.payload)} bytes, an event at most {MAX_EVENT_BYTES}"
        )
    headers = {name.lower(): value for name, value in message.headers.items()}
    payload = message.payload if message.payload.strip() else b"null"
    value = _json(payload)
    content_type = headers.get("content-type", "").lower()
    if content_type.startswith(STRUCTURED_MODE):
        attributes, data, value = structured.unfold(content_type, payload, value)
        prefix, reason = "", Reason.BAD_EVENT
    else:
        attributes, data, prefix, reason = headers, payload, "ce-", Reason.BAD_HEADER
    version = attributes.get(f"{prefix}specversion", SPEC_VERSION)
    if version != SPEC_VERSION:
        raise Undeliverable(reason, f"specversion {_shown(version)} is not known here: send CloudEvents {SPEC_VERSION}")
    event_id = attributes.get(f"{prefix}id")
    source = attributes.get(f"{prefix}source")
    event_type = attributes.get(f"{prefix}type")
    time = attributes.get(f"{prefix}time")
    traceparent = headers.get(TRACEPARENT) or attributes.get(TRACEPARENT)
    # Line breaks are legal JSON between tokens only; a publication is one line wherever it travels (SSE).
    if b"\n" in data or b"\r" in data:
        data = data.translate(None, _LINE_BREAKS)
    return Event(
        default_event_id(epoch, message.sequence)
        if event_id is None
        else _checked(f"{prefix}id", event_id, MAX_ID_CHARS, reason),
        f"/{domain}" if source is None else _checked(f"{prefix}source", source, MAX_SOURCE_CHARS, reason),
        f"{entity}.event"
        if event_type is None
        else _checked(f"{prefix}type", event_type, MAX_EVENT_NAME_CHARS, reason),
        rfc3339(message.stored_at_ns) if time is None else _checked_time(time, reason),
        domain,
        entity,
        entity_id,
        data.strip(),
        value,
        _members(headers, AUDIENCE_USERS) if AUDIENCE_USERS in headers else (),
        _members(headers, AUDIENCE_GROUPS) if AUDIENCE_GROUPS in headers else (),
        _channels(headers) if AUDIENCE_CHANNELS in headers else (),
        traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else "",
        read_terms(headers, domain),
    )


def _json(payload: bytes) -> Any:
    try:
        return pydantic_core.from_json(payload, allow_inf_nan=False)
    except ValueError as error:
        raise Undeliverable(Reason.NOT_JSON, f"the payload is not JSON: {error}") from error


def _checked(name: str, text: str, limit: int, reason: Reason) -> str:
    if 0 < len(text) <= limit and text.isprintable():
        return text
    raise Undeliverable(reason, f"{name} must be 1 to {limit} printable characters, not {_shown(text)}")


def _checked_time(text: str, reason: Reason) -> str:
    if is_time(text):
        return text
    raise Undeliverable(reason, f"time {_shown(text)} is not {TIME_FORM}")


def rfc3339(unix_ns: int) -> str:
    """Return ``unix_ns`` (Unix nanoseconds) as RFC 3339 in UTC, to the millisecond."""
    instant = datetime.fromtimestamp(unix_ns // 1_000_000_000, UTC)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{unix_ns // 1_000_000 % 1000:03d}Z"


def _items(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


def _members(headers: Mapping[str, str], name: str) -> tuple[str, ...]:
    members = _items(headers[name])
    for member in members:
        if len(member) > MAX_MEMBER_CHARS or not member.isprintable():
            raise Undeliverable(
                Reason.BAD_AUDIENCE,
                f"{name}: {_shown(member)} is not 1 to {MAX_MEMBER_CHARS} printable characters",
            )
    return tuple(members)


def _channels(headers: Mapping[str, str]) -> tuple[Channel, ...]:
    try:
        return tuple(Channel.parse(item) for item in _items(headers[AUDIENCE_CHANNELS]))
    except MalformedChannel as error:
        raise Undeliverable(Reason.BAD_AUDIENCE, f"{AUDIENCE_CHANNELS}: {error}") from error


def _shown(text: str) -> str:
    return repr(text[:80]) + ("…" if len(text) > 80 else "")
