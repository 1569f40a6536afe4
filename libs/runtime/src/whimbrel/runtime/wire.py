"""What a client writes to the server to publish: one command, its headers and its payload."""

from collections.abc import Mapping
from typing import Final

from whimbrel.runtime.errors import MalformedMessage

MAX_SUBJECT_BYTES: Final = 1024  # two of them fit in the server's control line of 4 KiB


def encode_publish(
    subject: str, payload: bytes, headers: Mapping[str, str] | None, reply: str, *, max_payload: int
) -> bytes:
    """Return the command that publishes ``payload``; ``max_payload`` is the server's, bytes with the headers.

    Raises MalformedMessage.
    """
    check_subject(subject)
    if reply:
        check_subject(reply)
    if len(subject) > MAX_SUBJECT_BYTES:
        raise MalformedMessage(f"a subject of {len(subject)} characters is longer than {MAX_SUBJECT_BYTES}")
    raw = encode_headers(headers) if headers else b""
    size = len(raw) + len(payload)
    if size > max_payload:  # the server would close the connection
        raise MalformedMessage(f"a message of {size} bytes is larger than the server's {max_payload}")
    if raw:
        return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject.encode(), reply.encode(), len(raw), size, raw, payload)
    return b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), size, payload)


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """Return the raw bytes of ``headers``.

    Raises MalformedMessage for a name or value that would break out of its line.
    """
    lines = [b"NATS/1.0"]
    for name, value in headers.items():
        if not name or not name.isascii() or not name.isprintable() or ":" in name or " " in name:
            raise MalformedMessage(f"{name!r} cannot be the name of a header")
        if "\r" in value or "\n" in value:
            raise MalformedMessage(f"the value of header {name} contains a line break")
        lines.append(f"{name}: {value}".encode())
    return b"\r\n".join(lines) + b"\r\n\r\n"


def check_subject(subject: str) -> None:
    """Refuse a subject that could break out of its protocol line: a security boundary, not a grammar check.

    Raises MalformedMessage.
    """
    if not subject or subject.split(None, 1) != [subject] or "\0" in subject:
        raise MalformedMessage(f"{subject!r} cannot be a subject")
