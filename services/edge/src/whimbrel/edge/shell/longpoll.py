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
    """One poll after the other by the same caller on the same connection.

    Between two of them it rests: it is told of what changes the caller's rights, so that it need not ask who that is.
    """

    __slots__ = ("_plain", "_resting")

    def __init__(self, pod: Pod, door: Door, request: Request) -> None:
        """Raises Refusal where the request is malformed."""
        super().__init__(pod, door, read_post(request.body))
        self._plain = False  # it waits for exactly what it asked for
        self._resting = False

    def again(self, body: bytes) -> bool:
        """Wait anew, as the next poll of the same caller: with the same head on the same connection.

        False where something is not as it was, or more is to be done than to wait: nothing has happened then. Raises
        Refusal (400).
        """
        pod, identity = self.pod, self._identity
        if not self._resting or identity is None or pod.full or self._rules_version != pod.rules_version:
            return False
        ask, lives = read_post(body), self._lives
        if ask.names != self._ask.names or ask.wait <= 0:
            return False
        for live, position in zip(lives, ask.positions, strict=True):
            if live.gone or position is None or not at_head(live, position):
                return False
        now = pod.now()
        if not pod.gatekeeper.remembers(self._digest) or pod.quotas.requests.take(identity.user, now=now):
            return False
        self.done = self._resting = False
        self._heard.clear()
        self._ask = ask
        self._positions = ask.channels
        self._until = now + ask.wait
        pod.connections.add(self)
        pod.counters.open["poll"] += 1
        self._wait(lives)
        return True

    def _wait_for_news(self, lives: list[LiveChannel]) -> None:
        self._plain = True
        self._wait(lives)

    def _look(self) -> None:
        self._plain = False
        super()._look()

    def answer(self, turn: Turn) -> None:
        """Look again; ``turn`` holds what was composed for others who asked the same."""
        composed = turn.get(self._ask)
        if composed is None or self.done or self._heard or not self._plain:
            super().answer(turn)
        else:
            self._repeat(composed)

    def _answered_at_once(self, turn: Turn) -> bool:
        if not self._plain:
            return False
        ask = self._ask
        body = news(ask, self._lives, self._heard)
        if body is None:
            return False
        if body:
            composed = Composed(body)
            if not self._heard and not ask.personal:
                turn[ask] = composed
            self._repeat(composed)
        return True

    def _repeat(self, composed: Composed) -> None:
        self._stop()
        self._resting = True
        self.pod.counters.accepted["poll"] += 1
        try:
            self._door.repeat(composed)
        except Exception as error:  # a fault of ours must cost one poll, not those behind it
            self._broke(error)

    def groups_changed(self, *, joined: tuple[str, ...], left: tuple[str, ...]) -> None:
        """Answer, and say what changed; who rests is asked again who it is."""
        self._wake()
        super().groups_changed(joined=joined, left=left)

    def cancel(self) -> None:
        """The client is gone, or asks for something else."""
        self._wake()
        super().cancel()

    def _wake(self) -> None:
        if self._resting:
            self._resting = False
            self._leave()

    def _tell(self, found: PollAnswer, identity: Identity) -> None:
        self._door.reply(HTTPStatus.OK, found.encode(), POST_HEADERS)
