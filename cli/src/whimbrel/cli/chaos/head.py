"""The head of an HTTP request (RFC 9112), as far as a proxy has to know it."""

from dataclasses import dataclass
from typing import Final, Self

MAX_HEAD_BYTES: Final = 64 * 1024
END: Final = b"\r\n\r\n"

_OF_THE_CONNECTION: Final = ("connection", "upgrade", "keep-alive", "proxy-connection")


class MalformedHead(ValueError):
    """The peer does not speak HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Head:
    """Method, target and fields in the order of arrival, names as they were written."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, head: bytes) -> Self:
        """Read what ends with an empty line.

        Raises MalformedHead.
        """
        first, *lines = head.removesuffix(END).decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            raise MalformedHead(f"not the first line of an HTTP request: {first[:80]!r}")
        fields = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise MalformedHead(f"not a header field: {line[:80]!r}")
            fields.append((name, value.strip()))
        return cls(words[0], words[1], tuple(fields))

    def field(self, name: str) -> str:
        """Return the value of the first field of this (lower-case) name, or nothing."""
        return next((value for each, value in self.fields if each.lower() == name), "")

    @property
    def path(self) -> str:
        """The target without its query, in which tickets may stand."""
        return self.target.partition("?")[0]

    @property
    def is_upgrade(self) -> bool:
        """Whether a WebSocket is asked for (RFC 6455 §4.1)."""
        return self.field("upgrade").lower() == "websocket"

    def forwarded(self, host: str, *, upgrade: bool) -> bytes:
        """Return the head to send on to ``host``: one request per connection, so that the end of its response is the
        end of the connection.
        """
        kept = [(name, value) for name, value in self.fields if name.lower() not in (*_OF_THE_CONNECTION, "host")]
        own = [("Connection", "Upgrade"), ("Upgrade", "websocket")] if upgrade else [("Connection", "close")]
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{n}: {v}" for n, v in [("Host", host), *kept, *own])]
        return "\r\n".join(lines).encode("latin-1") + END
