"""What is published: the same bytes by every server, numbered so that a loss or a repetition shows."""

from collections import Counter
from datetime import UTC, datetime
from typing import Final

from whimbrel.protocol.channels import Channel
from whimbrel.protocol.publications import MSG_ID, encode_body, publication_frame
from whimbrel.protocol.publications import TIME as HAPPENED_AT

DATA_BYTES: Final = 100
EVENT: Final = "bench.tick"
TIME: Final = "2026-01-01T00:00:00.000Z"


def datum(series: int, number: int, due_ns: int) -> bytes:
    """Return the data of a publication as counts.h knows it: 100 bytes."""
    head = b'{"s":%d,"n":%d,"t":%d,"text":"' % (series, number, due_ns)
    return head + b"whimbrel".ljust(DATA_BYTES - len(head) - 2) + b'"}'


def event_headers(name: str, happened_at: str) -> dict[str, str]:
    """Return the attributes of a domain event. One of long ago would be taken for a late repeat, and looked up."""
    return {
        "ce-specversion": "1.0",
        "ce-id": name,
        "ce-source": "bench",
        "ce-type": "tick",
        HAPPENED_AT: happened_at,
        MSG_ID: f"bench/{name}",
    }


def now() -> str:
    """Return the time of day, as an event states it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Numbers:
    """The publications of each channel are numbered from 0, without holes, for as long as this lives."""

    def __init__(self) -> None:
        self._next: Counter[Channel] = Counter()

    def datum(self, channel: Channel, series: int, due_ns: int) -> bytes:
        """Return the data of the channel's next publication."""
        number = self._next[channel]
        self._next[channel] += 1
        return datum(series, number, due_ns)

    def frame(self, channel: Channel, series: int, due_ns: int) -> bytes:
        """Return the channel's next publication as the edge would write it."""
        number = self._next[channel]
        body = encode_body(EVENT, f"{number:024}", TIME, self.datum(channel, series, due_ns))
        return publication_frame(str(channel).encode(), body, number + 1, number)
