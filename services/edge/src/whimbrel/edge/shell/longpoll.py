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

    Between two of them it rests: it stays where it is known, with the pod, its channels and its user, for the next poll
    will most likely ask for the same. Whatever changes what the caller may do, or the pod, ends its rest; so there is
    little left to be asked.
    """

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
        pod, identity = self.pod, self._identity
        if not self._resting or identity is None:
            return False
        ask = read_post(body)
        if ask.names != self._ask.names or ask.wait <= 0:
            return False
        for live, position in zip(self._lives, ask.positions):  # noqa: B905  # as many as there are names
            if live.gone or position is None or not at_head(live, position):
                return False
        now = pod.now()
        if not pod.gatekeeper.trusts(identity) or pod.quotas.requests.take(identity.user, now=now):
            return False
        self._resting = False
        self._ask = ask
        self._positions = ask.channels
        self._until = now + ask.wait
        pod.counters.open["poll"] += 1
        self._door.wait_until(self._until)
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
        if composed is None or self._resting or self.done or self._heard or not self._plain:
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
            composed = Composed(body, self.pod.now())
            if not self._heard and not ask.personal:
                turn[ask] = composed
            self._repeat(composed)
        return True

    def _repeat(self, composed: Composed) -> None:
        self._resting = True
        if self._heard:
            self._heard = []
        counters = self.pod.counters
        counters.open["poll"] -= 1
        counters.accepted["poll"] += 1
        try:
            self._door.repeat(composed)
        except Exception as error:  # a fault of ours must cost one poll, not those behind it
            self._broke(error)

    def _tell(self, found: PollAnswer, identity: Identity) -> None:
        self._door.reply(HTTPStatus.OK, found.encode(), POST_HEADERS)
