"""The token: when to ask the application for another, one at a time, and how a session that is up is renewed."""

from collections.abc import Callable

from whimbrel.client.core.effects import AskToken, Effect, Refreshed, Send
from whimbrel.client.core.link import Link
from whimbrel.client.core.timing import Timing
from whimbrel.client.errors import RequestFailed, TokenUnavailable
from whimbrel.protocol.frames import Error, Ok, Refresh


class Credential:
    """What to connect with.

    ``renewable``: the application can give another token; a fixed text it cannot replace. ``retry_s(tries)`` says how
    long to wait before a refresh is tried once more.
    """

    def __init__(self, timing: Timing, *, renewable: bool, retry_s: Callable[[int], float]) -> None:
        self.renewable = renewable
        self.token: str | None = None
        self.grant: str | None = None  # the `resume` of the edge
        self.refresh_at: float | None = None  # loop seconds
        self._timing = timing
        self._retry_s = retry_s
        self._asking = False
        self._refreshing = False  # the next token is to renew the session
        self._refresh_id = 0
        self._expires_at: float | None = None
        self._rejected = False
        self._accepted = False

    def usable(self, now: float) -> bool:
        """Whether a connection with the token at hand is worth a try."""
        fresh = self._expires_at is None or now < self._expires_at - self._timing.expiry_margin_s
        return self.token is not None and not self._rejected and (fresh or not self.renewable)

    def ask(self) -> list[Effect]:
        """Ask for a token, unless that is under way."""
        if self._asking:
            return []
        self._asking = True
        return [AskToken()]

    def refresh(self) -> list[Effect]:
        """Ask for a token that is to renew the session; several wishes at once are one."""
        self.refresh_at = None
        if self._refresh_id:
            return []  # the edge has a new token before it already
        self._refreshing = True
        return self.ask()

    def expire(self) -> None:
        """The edge says that the token has expired."""
        self._rejected = True
        self.grant = None

    def accepted(self) -> None:
        """The edge took the token."""
        self._accepted = True

    def refused(self) -> bool:
        """The edge does not take the token; return whether another may fare better.

        It may where this one was taken before: it has merely grown old, as when keys are changed.
        """
        if not (self._accepted and self.renewable):
            return False
        self.expire()
        return True

    def connected(self, expires_in: float, grant: str | None, now: float) -> None:
        """The edge took the token, for so many seconds."""
        self.grant = grant
        self._expires_at = now + expires_in

    def received(self, token: str, link: Link | None, new_id: Callable[[], int]) -> list[Effect]:
        """Take the application's token; renew the session that is up on ``link`` if that is what it is for."""
        self._asking = self._rejected = self._accepted = False
        self.token = token
        self._expires_at = None
        refreshing, self._refreshing = self._refreshing, False
        if not refreshing:
            return []
        if link is None or link.transport != "websocket":
            return [Refreshed(None)]  # whatever comes next bears the new token
        self._refresh_id = new_id()
        return [Send(link.id, Refresh(id=self._refresh_id, token=token))]

    def failed(self, reason: str, now: float) -> list[Effect]:
        """The application had no token."""
        refreshing, self._asking, self._refreshing = self._refreshing, False, False
        if not refreshing:
            return []
        self.refresh_at = now + self._retry_s(1)
        return [Refreshed(TokenUnavailable(reason))]

    def awaits(self, reply: Ok | Error) -> bool:
        """Whether ``reply`` is the one to our `refresh`."""
        return reply.id is not None and reply.id == self._refresh_id

    def refreshed(self, reply: Ok | Error, now: float) -> list[Effect]:
        """Take the edge's answer to `refresh`."""
        self._refresh_id = 0
        if isinstance(reply, Ok):
            self._accepted = True
            self._expires_at = now + (reply.expires_in or 0)
            return [Refreshed(None)]
        error = RequestFailed.of(reply)
        if error.temporary:
            self.refresh_at = now + (error.retry_s or self._retry_s(1))
        return [Refreshed(error)]

    def lost(self) -> list[Effect]:
        """The link is gone, and the answer to `refresh` with it; the next link begins with the new token anyway."""
        waited, self._refresh_id = self._refresh_id, 0
        return [Refreshed(None)] if waited else []
