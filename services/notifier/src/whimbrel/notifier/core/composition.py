"""What is sent for an event: one publication per target, or one dead letter."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from whimbrel.notifier.core import inbox
from whimbrel.notifier.core.audience import Target
from whimbrel.notifier.core.errors import Reason
from whimbrel.notifier.core.events import Event, Message, rfc3339
from whimbrel.notifier.core.identity import dead_letter_id, publication_id
from whimbrel.notifier.core.inbox import PLAIN, Place
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import USER_NAMESPACE, Channel
from whimbrel.protocol.publications import (
    MSG_ID,
    ORIGINAL_SEQUENCE,
    ORIGINAL_SUBJECT,
    REASON,
    REASON_CODE,
    TRACEPARENT,
    encode_body,
)

MAX_REASON_CHARS: Final = 500  # of the text in a dead letter's header
DEAD_LETTERS: Final = "dlq"  # their key in the window: they keep their order among themselves

MAX_HEADER_BYTES: Final = 60 * 1024  # JetStream takes 64 KiB
_NAME: Final = re.compile(r"[!-9;-~]+")  # of a header: printable, no blank, no colon
_SERVER_HEADERS: Final = "nats-"  # such a header would tell the dead-letter stream what to do: expire, roll up, …
_OVERHEAD_BYTES: Final = 64  # header line, separators and blank line


class Publication:
    """A message on its way to a stream, or live to an ephemeral channel.

    ``place`` is where it stands in an inbox. ``stored_at_ns`` is when its event was stored: it cannot have been
    published before. ``forgotten_at``: from then on (clock seconds) its stream may have forgotten the Nats-Msg-Id under
    which it was sent; infinity where it never was. ``size`` is that of the body at first, in bytes: what the window has
    counted stays what it was.
    """

    __slots__ = (
        "body",
        "channel",
        "durable",
        "forgotten_at",
        "headers",
        "key",
        "place",
        "sequence",
        "size",
        "stored_at_ns",
        "subject",
    )

    def __init__(
        self,
        *,
        sequence: int,
        stored_at_ns: int,
        key: str,
        subject: str,
        body: bytes,
        headers: Mapping[str, str],
        channel: Channel | None,
        durable: bool = True,
        forgotten_at: float = math.inf,
        place: Place | None = None,
    ) -> None:
        self.sequence = sequence
        self.stored_at_ns = stored_at_ns
        self.key = key
        self.subject = subject
        self.body = body
        self.size = len(body)
        self.headers = headers
        self.channel = channel
        self.durable = durable
        self.forgotten_at = forgotten_at
        self.place = place

    def become(self, letter: "Publication") -> None:
        """Turn into the dead ``letter``, in the same place of the same channel."""
        self.subject = letter.subject
        self.body = letter.body
        self.headers = letter.headers
        self.channel = None
        self.place = None
        self.forgotten_at = letter.forgotten_at

    @property
    def id(self) -> str:
        """Return the ``Nats-Msg-Id``."""
        return self.headers[MSG_ID]


def publications(
    event: Event,
    targets: Iterable[Target],
    message: Message,
    *,
    epoch: str,
    traceparent: str = "",
    forgotten_at: float = math.inf,
    now: float = 0.0,
) -> Iterator[Publication]:
    """Return one publication per target, all with the same body but in inboxes; ``traceparent`` travels with each if
    given. What has expired at ``now`` (Unix s) reaches no inbox.

    Each is made as it is asked for: ten thousand at once would hold up all other events for 50 ms. What could fail is
    done before.
    """
    sequence, terms = message.sequence, event.terms
    body = encode_body(event.type, event.id, event.time, event.data)
    ends_ns = message.stored_at_ns + terms.ttl_s * 1_000_000_000
    expired = terms.ttl_s > 0 and ends_ns <= now * 1e9
    inbox_body = (
        body if terms is PLAIN else inbox.encode(terms, event.type, event.id, event.time, event.data, rfc3339(ends_ns))
    )
    inbox_place = inbox.place_of(terms, event.id)
    inbox_headers = inbox_place.headers

    def one(channel: Channel, durable: bool, in_inbox: bool) -> Publication:
        headers = {MSG_ID: publication_id(epoch, sequence, channel)} if durable else {}
        if in_inbox:
            headers |= inbox_headers
        if traceparent:
            headers[TRACEPARENT] = traceparent
        return Publication(
            sequence=sequence,
            stored_at_ns=message.stored_at_ns,
            key=str(channel),
            subject=subjects.publish_subject(channel) if durable else subjects.live_subject(channel),
            body=inbox_body if in_inbox else body,
            headers=headers,
            channel=channel,
            durable=durable,
            forgotten_at=forgotten_at,
            place=inbox_place if in_inbox else None,
        )

    placed = ((channel, durable, channel.namespace == USER_NAMESPACE) for channel, durable in targets)
    return (one(channel, durable, in_inbox) for channel, durable, in_inbox in placed if not (in_inbox and expired))


def dead_letter(
    message: Message, reason: Reason, text: str, *, epoch: str, max_bytes: int, forgotten_at: float = math.inf
) -> Publication:
    """Return the dead letter of ``message``: payload and headers as they came, and why.

    Where both exceed ``max_bytes`` the payload is left out, then the headers: stream EVENTS still has them, under
    ``whimbrel-sequence``.
    """
    verdict = {
        MSG_ID: dead_letter_id(epoch, message.sequence),
        REASON_CODE: reason.value,
        REASON: _one_line(text),
        ORIGINAL_SUBJECT: message.subject,
        ORIGINAL_SEQUENCE: str(message.sequence),
    }
    original = {
        name: value
        for name, value in message.headers.items()
        if name not in verdict and _NAME.fullmatch(name) and not name.lower().startswith(_SERVER_HEADERS)
    }
    headers, payload = {**original, **verdict}, message.payload
    if _size(headers) + len(payload) > max_bytes:
        payload = b""
    if _size(headers) > min(max_bytes, MAX_HEADER_BYTES):
        headers = verdict
    return Publication(
        sequence=message.sequence,
        stored_at_ns=message.stored_at_ns,
        key=DEAD_LETTERS,
        subject=subjects.DLQ_NOTIFIER,
        body=payload,
        headers=headers,
        channel=None,
        forgotten_at=forgotten_at,
    )


def _one_line(text: str) -> str:
    line = "".join(char if char.isprintable() else " " for char in text)
    return line if len(line) <= MAX_REASON_CHARS else line[: MAX_REASON_CHARS - 1] + "…"


def _size(headers: Mapping[str, str]) -> int:
    return _OVERHEAD_BYTES + sum(len(name) + len(value.encode()) + 4 for name, value in headers.items())
