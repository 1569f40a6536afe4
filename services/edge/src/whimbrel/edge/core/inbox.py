"""What is in an inbox now: of what is stored there, what is neither overtaken, nor taken back, nor expired.

The notifier deletes what it knows to be overtaken or taken back, and histories forget by age and by count; neither is
at once, and nothing is deleted for having expired. So the truth is not what is stored but what ``current`` says of it:
whoever reads an inbox goes by that, and what was deleted already makes no difference.

A message is overtaken by a newer one of its topic, and taken back by a newer withdrawal that names its event or its
topic. A withdrawal is no message: it is told to clients, and counts nowhere.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Final, NamedTuple

import pydantic_core

from whimbrel.edge.core.ring import Stored
from whimbrel.protocol.limits import RETAINED_PER_CHANNEL
from whimbrel.protocol.publications import WITHDRAWN, encode_body, nested_publication
from whimbrel.protocol.publications import read_head as read_body_head

REPLY_BYTES: Final = 512 * 1024  # of messages in one answer; many clients refuse messages over 1 MiB


class Head(NamedTuple):
    """A stored publication without its data. Times are RFC 3339 in UTC, to the millisecond: they compare as texts.

    A withdrawal names the event or the topic that it takes back.
    """

    offset: int
    event_id: str = ""
    topic: str = ""
    expires: str = ""
    is_withdrawal: bool = False
    withdrawn_event: str = ""
    withdrawn_topic: str = ""


def read_head(offset: int, body: bytes) -> Head:
    """Read the head of a stored publication body; what cannot be read is a message like any other."""
    fields = read_body_head(body)
    event_id, topic, expires = (_text(fields, name) for name in ("event_id", "topic", "expires"))
    if fields.get("event") != WITHDRAWN:
        return Head(offset, event_id, topic, expires)
    try:
        named = pydantic_core.from_json(body)["data"]
    except (ValueError, KeyError):
        named = {}
    return Head(
        offset,
        event_id,
        is_withdrawal=True,
        withdrawn_event=_text(named, "event_id"),
        withdrawn_topic=_text(named, "topic"),
    )


def _text(fields: object, name: str) -> str:
    value = fields.get(name) if isinstance(fields, Mapping) else None
    return value if isinstance(value, str) else ""


def current(heads: Sequence[Head], *, now: str) -> list[Head]:
    """Return the messages of ``heads`` (oldest first) that are in the inbox at ``now``; what follows the first of them
    has to be complete.
    """
    topics: set[str] = set()
    events: set[str] = set()
    kept = []
    for head in reversed(heads):
        if head.is_withdrawal:
            events.add(head.withdrawn_event)
            topics.add(head.withdrawn_topic)
            continue
        over = (head.topic and head.topic in topics) or (head.event_id and head.event_id in events)
        if not over and not (head.expires and head.expires <= now):
            kept.append(head)
        topics.add(head.topic)
    kept.reverse()
    return kept


def shown(publications: Sequence[Stored], *, now: str) -> Sequence[Stored]:
    """Return what a client that missed ``publications`` is told: the messages that are in the inbox at ``now``, and the
    withdrawals, for it may show what they name.

    Where a message is gone that took the place of another one of its topic, the client is told to take that topic back:
    it may show the other. They are chained anew. Where the last one is not to be shown, one without a body stands for
    it: the client has to learn that nothing is missing.
    """
    heads = [read_head(each.offset, each.body) for each in publications]
    keep = {head.offset for head in current(heads, now=now)} | {head.offset for head in heads if head.is_withdrawal}
    if len(keep) == len(publications):
        return publications
    prev = publications[0].prev
    told = []
    emptied = _emptied(heads, keep, now)
    for each in publications:
        if each.offset in emptied:
            told.append(Stored(each.offset, prev, emptied[each.offset]))
            prev = each.offset
        elif each.offset in keep:
            told.append(each._replace(prev=prev))
            prev = each.offset
    last = publications[-1].offset
    if last not in keep and last not in emptied:
        told.append(Stored(last, prev, b""))
    return told


def _emptied(heads: Sequence[Head], keep: Set[int], now: str) -> dict[int, bytes]:
    """Return withdrawals in the place of those that were the newest of their topic and are gone, by their offsets."""
    topics: set[str] = {""}
    found = {}
    for head in reversed(heads):
        if not head.is_withdrawal and head.topic not in topics and head.offset not in keep:
            data = pydantic_core.to_json({"topic": head.topic})
            found[head.offset] = encode_body(WITHDRAWN, head.event_id, now, data)
        topics.add(head.withdrawn_topic if head.is_withdrawal else head.topic)
    return found


class Contents(NamedTuple):
    """What an inbox holds from some offset on: a head of everything, and the bodies of what may be listed.

    ``full``: as many are stored as an inbox may hold.
    """

    heads: Sequence[Head]
    bodies: Mapping[int, bytes]
    full: bool


def count_and_list(
    contents: Contents, *, read: int, unread: bool, before: int | None, limit: int, epoch: str, now: str
) -> bytes:
    """Return the JSON members of an answer: what is unread behind the mark ``read``, and the newest ``limit`` messages,
    as far as they find room; ``unread`` and ``before`` as in the `inbox` frame.
    """
    messages = current(contents.heads, now=now)
    behind = [head for head in messages if head.offset > read]
    listed: list[Head] = []
    room = REPLY_BYTES
    for head in reversed(behind if unread else messages):
        if before is not None and head.offset >= before:
            continue
        body = contents.bodies.get(head.offset)
        if len(listed) >= limit or body is None or (listed and len(body) > room):
            break
        room -= len(body)
        listed.append(head)
    listed.reverse()
    prevs = (0, *(head.offset for head in listed))
    encoded = [
        nested_publication(contents.bodies[head.offset], head.offset, prev)
        for head, prev in zip(listed, prevs, strict=False)
    ]
    dropped = contents.full and bool(contents.heads) and contents.heads[0].offset > read
    return b'"epoch":"%b","read":%d,"unread":%d,"complete":%b,"publications":[%b]' % (
        epoch.encode(),
        read,
        len(behind),
        b"false" if dropped else b"true",
        b",".join(encoded),
    )


def page_of(contents: Contents, *, after: int | None, before: int | None, limit: int, now: str) -> list[Stored]:
    """Return the first ``limit`` messages after ``after``, else the newest, all before ``before``; oldest first."""
    prev = 0
    chained = []
    for head in current(contents.heads, now=now):
        if head.offset in contents.bodies:
            chained.append(Stored(head.offset, prev, contents.bodies[head.offset]))
        prev = head.offset
    found = [
        each for each in chained if (after is None or each.offset > after) and (before is None or each.offset < before)
    ]
    return found[:limit] if after is not None else found[max(0, len(found) - limit) :]


def is_full(count: int) -> bool:
    """Tell whether ``count`` stored publications are all that an inbox may hold."""
    return count >= RETAINED_PER_CHANNEL
