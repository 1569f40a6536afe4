"""``POST /v1/poll``: a poll that waits until something is published.

Part of the hot path: what is published is composed once for all who asked the same (``core.polling``), and who polls
again on the same connection, and has everything, waits again without having its request read anew.
"""

from http import HTTPStatus

from whimbrel.edge.core.hub import LiveChannel, Turn
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.polling import PollAnswer, at_head, news
from whimbrel.edge.shell.asks import read_post
from whimbrel.edge.shell.door import POST_HEADERS, Composed, Door
from whimbrel.edge.shell.httpwire import Request
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.poll import Poll


class LongPoll(Poll):
    """One poll after the other by the same caller on the same connection."""

    __slots__ = ("_plain",)

    def __init__(self, pod: Pod, door: Door, request: Request) -> None:
        """Raises Refusal where the request is malformed."""
        super().__init__(pod, door, read_post(request.body))
        self._plain = False  # it waits for exactly what it asked for

    def again(self, body: bytes) -> bool:
        """Wait anew, as the next poll of the same caller: with the same head on the same connection.

        False where something is not as it was, or more is to be done than to wait: nothing has happened then. Raises
        Refusal (400).
        """
        if not self._plain or self._heard:
            return False
        pod = self.pod
        now = pod.now()
        identity = pod.gatekeeper.recall_digest(self._digest, now=now)
        if identity is None or pod.full or self._rules_version != pod.rules_version:
            return False
        if identity is not self._identity and identity != self._identity:
            return False
        ask, lives = read_post(body), self._lives
        if ask.names != self._ask.names or ask.wait <= 0:
            return False
        for live, position in zip(lives, ask.positions, strict=True):
            if live.gone or position is None or not at_head(live, position):
                return False
        if pod.admission.crowd(identity.user, self) or pod.quotas.requests.take(identity.user, now=now):
            return False
        self.done = False
        self._identity = identity
        self._ask = ask
        self._positions = ask.channels
        self._until = now + ask.wait
        pod.connections.add(self)
        pod.counters.open["poll"] += 1
        pod.users.attach(identity, self, now=now)
        self._wait(lives)
        return True

    def _wait_for_news(self, lives: list[LiveChannel]) -> None:
        self._plain = True
        self._wait(lives)

    def _look(self) -> None:
        self._plain = False
        super()._look()

    def _answered_at_once(self, turn: Turn) -> bool:
        if not self._plain:
            return False
        ask = self._ask
        composed = turn.get(ask) if not self._heard else None
        if composed is None:
            body = news(ask, self._lives, self._heard)
            if body is None:
                return False
            if not body:
                return True
            composed = Composed(body)
            if not self._heard and not ask.personal:
                turn[ask] = composed
        self._end()
        self.pod.counters.accepted["poll"] += 1
        self._door.repeat(composed)
        return True

    def _tell(self, found: PollAnswer, identity: Identity) -> None:
        self._door.reply(HTTPStatus.OK, found.encode(), POST_HEADERS)
