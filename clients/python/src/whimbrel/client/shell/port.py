"""What a link tells the driver, and what the driver tells a link."""

from collections.abc import Sequence
from typing import Protocol

from whimbrel.client.core.link import Loss
from whimbrel.client.core.polling import Poll
from whimbrel.protocol.bodies import PollReply
from whimbrel.protocol.frames import ClientFrame, EdgeFrame


class Unreachable(Exception):
    """No transport can be made; the message says why."""


class Port(Protocol):
    """The driver as a link sees it. ``link`` is the number that the link was given."""

    @property
    def bearer(self) -> str:
        """The token for HTTP requests."""
        ...

    def opened(self, link: int) -> None:
        """The transport is open."""
        ...

    def received(self, link: int, frames: Sequence[EdgeFrame]) -> None:
        """The edge said something."""
        ...

    def poll(self, link: int) -> Poll | None:
        """Return what to poll for; None where the link is not wanted any more."""
        ...

    def advice_s(self) -> float:
        """Return how long to wait before the policy is asked for again."""
        ...

    def polled(self, link: int, asked: Poll, reply: PollReply) -> None:
        """The edge answered a poll."""
        ...

    def lost(self, link: int, loss: Loss) -> None:
        """The transport ended, or did not open."""
        ...


class Carrier(Protocol):
    """A link as the driver sees it. It runs from ``open`` until it reports ``lost``, or was hung up."""

    def open(self) -> None:
        """Begin to connect, in a task of its own."""
        ...

    def send(self, frame: ClientFrame) -> None:
        """Queue a frame; it is written in order."""
        ...

    def repoll(self) -> None:
        """Ask again; nothing where the transport needs no asking."""
        ...

    def hang_up(self, code: int) -> None:
        """Begin to close; nothing more is reported."""
        ...

    async def ended(self) -> None:
        """Wait until nothing of the link is left."""
        ...
