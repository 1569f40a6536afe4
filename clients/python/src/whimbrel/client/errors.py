"""What can go wrong for an application that uses the client, as one tree.

ClientError
├── Closed                the client is closed for good: by the application (1000), or by the edge (4500–4999)
├── TokenUnavailable      the token provider raised; the client goes on trying, `refresh()` reports it
├── RequestFailed         the edge answered `error`; `code`, `slug`, `temporary` and `retry_s` say what to do
│   └── ChannelRefused    … to a subscribe: no such namespace, or no permission
├── RequestTimeout        no answer in time; a repeat is harmless, for every request bears an id or a key
├── ChannelClosed         the edge closed this channel: the right to it ended
├── PositionLost          publications are missing and cannot be recovered: reload the state, then iterate on
└── Misuse                the application called what cannot be: a bad URL, a second subscription to one channel
"""

from typing import Self

from whimbrel.protocol.frames import Error
from whimbrel.protocol.positions import Position


class ClientError(Exception):
    """Anything that the client raises by itself."""


class Closed(ClientError):
    """The client is closed and will not connect again; make a new one."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the client is closed: {reason} ({code})")
        self.code = code
        self.reason = reason


class TokenUnavailable(ClientError):
    """The token provider raised, or returned no token."""


class RequestFailed(ClientError):
    """The edge refused a request; the connection lives on."""

    def __init__(
        self, code: int, slug: str, message: str, *, temporary: bool = False, retry_s: float | None = None
    ) -> None:
        super().__init__(f"{message} ({code} {slug})")
        self.code = code
        self.slug = slug
        self.message = message
        self.temporary = temporary
        self.retry_s = retry_s

    @classmethod
    def of(cls, frame: Error) -> Self:
        """Return the exception that an `error` frame stands for."""
        retry_s = None if frame.retry_ms is None else frame.retry_ms / 1000
        return cls(frame.code, frame.slug, frame.message, temporary=frame.temporary, retry_s=retry_s)


class ChannelRefused(RequestFailed):
    """The edge did not open the channel."""


class RequestTimeout(ClientError):
    """The edge has not answered in time; whether it acted is unknown."""


class ChannelClosed(ClientError):
    """The edge closed a channel that was open."""

    def __init__(self, channel: str, code: int, slug: str, reason: str) -> None:
        super().__init__(f"{channel} was closed: {reason} ({code} {slug})")
        self.channel = channel
        self.code = code
        self.slug = slug
        self.reason = reason


class PositionLost(ClientError):
    """Publications of ``channel`` are missing; ``position`` is where the next ones begin.

    Reload what the channel tells about, then take up the iteration again.
    """

    def __init__(self, channel: str, position: Position) -> None:
        super().__init__(f"publications of {channel} are missing before {position.epoch}:{position.offset}")
        self.channel = channel
        self.position = position


class Misuse(ClientError):
    """A call that has no meaning; the message names the way out."""
