"""A message as it came from the bus, with its headers left as raw bytes.

Parsing headers into a mapping costs more than everything else on the way in; the few that matter are looked up by name.
"""

from functools import lru_cache
from typing import Final

_END: Final = b"\r\n"


class Delivery:
    """One message. ``headers`` are the raw bytes (``NATS/1.0…\\r\\n\\r\\n``), None where there are none."""

    __slots__ = ("headers", "payload", "reply", "subject")

    def __init__(self, subject: str, reply: str, payload: bytes, headers: bytes | None) -> None:
        self.subject = subject
        self.reply = reply
        self.payload = payload
        self.headers = headers

    def header(self, name: str) -> str | None:
        """Return the first value of header ``name`` (as spelt by the sender), None where it is missing."""
        return header(self.headers, name)

    def status(self) -> int:
        """Return the status that a server put in the header line (404, 503 …), 0 where there is none."""
        return status(self.headers)

    def __repr__(self) -> str:
        # Neither payload nor header values: this may end up in a log.
        return f"<Delivery {self.subject} {len(self.payload)} bytes>"


def header(raw: bytes | None, name: str) -> str | None:
    """Return the first value of header ``name`` in ``raw``, None where it is missing."""
    if raw is None:
        return None
    line = _line(name)
    start = raw.find(line)
    return None if start < 0 else _value(raw, start + len(line)).decode("utf-8", "replace")


def stamped(raw: bytes | None, name: str) -> str | None:
    """Return the last value of header ``name``: the server's, for it appends to the publisher's own headers."""
    if raw is None:
        return None
    line = _line(name)
    start = raw.rfind(line)
    return None if start < 0 else _value(raw, start + len(line)).decode("utf-8", "replace")


def number(raw: bytes | None, name: str) -> int:
    """Return the number that the server wrote in header ``name``, 0 where it is missing or not a number."""
    if raw is None:
        return 0
    line = _line(name)
    start = raw.rfind(line)
    if start < 0:
        return 0
    value = _value(raw, start + len(line))
    if not value.isdigit():
        return 0
    try:
        return int(value)
    except ValueError:  # thousands of digits
        return 0


@lru_cache(maxsize=256)
def _line(name: str) -> bytes:
    return b"\r\n%b:" % name.encode()


def _value(raw: bytes, start: int) -> bytes:
    return raw[start : raw.find(_END, start)].strip()


def status(raw: bytes | None) -> int:
    """Return the status in the header line of ``raw``: ``NATS/1.0 404 Not Found`` → 404, 0 where there is none."""
    if raw is None or raw[8:9] != b" ":
        return 0
    digits = raw[9:12]
    return int(digits) if digits.isdigit() else 0


def description(raw: bytes | None) -> str:
    """Return the text after the status in the header line."""
    if raw is None:
        return ""
    return raw[13 : raw.find(_END)].decode("utf-8", "replace")


def fields(raw: bytes | None) -> dict[str, str]:
    """Return all headers of ``raw``; a name that repeats keeps its first value."""
    found: dict[str, str] = {}
    if raw is None:
        return found
    for line in raw.split(_END)[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.decode("utf-8", "replace"), value.strip().decode("utf-8", "replace"))
    return found
