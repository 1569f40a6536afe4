"""Polling, whether by ``POST /v1/poll`` (``LongPoll``) or ``GET /v1/poll`` (``IntervalPoll``).

A poll carries its credentials and positions, so any pod answers it. Where the token is remembered and the rings reach
back far enough, the answer is written in the same turn of the loop; otherwise a task asks for what is missing.

Part of the hot path: a poll that has everything waits without asking anybody, at the cost of one entry per channel.
"""

from collections.abc import Mapping, Sequence, Set
from http import HTTPStatus
from typing import Final

from whimbrel.edge.core.effects import Rejected, Wanted
from whimbrel.edge.core.hub import LiveChannel, Turn
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.opening import Opening
from whimbrel.edge.core.polling import Ask, PollAnswer, answer_poll, at_head
from whimbrel.edge.core.replies import unsubscribed_frame
from whimbrel.edge.core.rights import permit
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.edge.shell.door import Door
from whimbrel.edge.shell.httpwire import Refusal
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.refusals import OUR_FAULT, refuse
from whimbrel.protocol.channels import INBOX, Channel, group_channel
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.frames import AckedFrame, encode
from whimbrel.protocol.limits import MAX_CHANNELS
from whimbrel.protocol.positions import Position

LEAVING_WAIT_S: Final = 1.0  # of a pod that leaves: who finds no other pod yet must not come back in a circle


class Poll:
    """One poll under way, or at rest between two of the same caller.

    Besides what it asks for it waits for the channels of the user's groups: the answer, whatever brings it about, tells
    of those that the client does not know yet.
    """

    __slots__ = (
        "_announced",
        "_ask",
        "_door",
        "_heard",
        "_identity",
        "_lives",
        "_looking",
        "_positions",
        "_resting",
        "_uninvited",
        "_until",
        "_waits",
        "done",
        "pod",
    )

    def __init__(self, pod: Pod, door: Door, ask: Ask) -> None:
        self.pod = pod
        self.done = False
        self._door = door
        self._ask = ask
        self._positions: Mapping[str, Position | None] = ask.channels
        self._identity: Identity | None = None
        self._lives: list[LiveChannel] = []  # of the channels asked for, once the poll waits for them
        self._looking = False  # a task reads what the rings do not hold
        self._waits = False
        self._resting = False  # answered, and still known wherever it was: the same caller will most likely ask again
        self._heard: list[bytes] = []  # frames without a position that came while waiting
        self._uninvited: Set[str] = frozenset()  # groups' channels that are being opened without having been asked for
        self._announced: list[bytes] = []  # what the answer tells of them
        self._until = 0.0

    # What the two kinds do in their own way

    def again(self, body: bytes) -> bool:
        """Wait anew, as the next poll of the same caller; False where the request must be read."""
        return False

    def _go_on(self, identity: Identity) -> None:
        """Take up what belongs to ``identity`` alone, now that it is known."""

    def _wait_for_news(self, lives: list[LiveChannel]) -> None:
        """Wait for ``lives``, exactly the channels that were asked for and named in order."""
        self._wait(lives)

    def _answered_at_once(self, turn: Turn) -> bool:
        """Answer by what others who asked the same are answered by, or from the rings; False where that cannot be."""
        return False

    def _tell(self, found: PollAnswer, identity: Identity) -> None:
        """Answer the request."""
        raise NotImplementedError

    # Begin

    def begin(self, token: str | None) -> None:
        """Answer at once where memory allows; otherwise ask, read or wait. Raises Refusal (401, 429, 503)."""
        if token is None:
            why = "send the access token in `Authorization: Bearer`"
            raise Refusal(HTTPStatus.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, why)
        pod = self.pod
        now = pod.now()
        identity = pod.gatekeeper.recall(token, now=now)
        if identity is None:
            self._door.admit()
        self._until = now + (min(self._ask.wait, LEAVING_WAIT_S) if pod.draining else self._ask.wait)
        pod.connections.add(self)
        pod.counters.open["poll"] += 1
        if identity is None:
            pod.spawn(self._identify(token), self._failed)
        else:
            self._open(identity, now)

    async def _identify(self, token: str) -> None:
        outcome = await self.pod.gatekeeper.identify(token, None, now=self.pod.now())
        if self.done:
            return
        if isinstance(outcome, Rejected):
            self._end()
            self._door.refuse(refuse(outcome))
        else:
            self._open(outcome.identity, self.pod.now())

    def _open(self, identity: Identity, now: float) -> None:
        try:
            self.pod.quotas.request(identity.user, now=now)
        except Refused as refused:
            self._end()
            too_many = HTTPStatus.TOO_MANY_REQUESTS
            self._door.refuse(Refusal(too_many, refused.code, refused.message, retry_ms=refused.retry_ms))
            return
        if crowd := self.pod.admission.crowd(identity.user, self):
            self._end()
            self._door.refuse(refuse(crowd))
            return
        self._identity = identity
        self._go_on(identity)
        if identity.groups:
            self._invite(identity)
        self.pod.users.attach(identity, self, now=now)
        lives = self._at_heads(identity, now)
        if lives is None:
            self._look()
        elif now < self._until:
            self._wait_for_news(lives)
        else:
            self._finish_as_it_is()

    def _invite(self, identity: Identity) -> None:
        """Add the channels of the user's groups that the poll does not ask for."""
        names = {str(group_channel(group)) for group in identity.groups} - self._positions.keys()
        if names:
            room = max(0, MAX_CHANNELS - len(self._positions))
            self._uninvited = frozenset(sorted(names)[:room])
            self._positions = {**self._positions, **dict.fromkeys(self._uninvited)}

    def _at_heads(self, identity: Identity, now: float) -> list[LiveChannel] | None:
        """Return the channels asked for if the client has all that was published in them: as most come back."""
        pod = self.pod
        lives: list[LiveChannel] = []
        try:
            for name, position in self._positions.items():
                live = pod.hub.channels.get(permit(identity, "subscribe", name, pod.rules))
                if live is None or position is None or not at_head(live, position):
                    return None
                live.idle_since = now
                lives.append(live)
        except Refused:
            return None
        return lives

    # Look, and wait

    def _look(self) -> None:
        """Answer if there is something to tell; otherwise wait on."""
        refused: list[tuple[Wanted, Opened | NotOpened]] = []
        openings: list[Opening] = []
        for name, position in self._positions.items():
            try:
                wanted = self._wanted(name, position)
                openings.append(self.pod.openings.start(wanted, now=self.pod.now()))
            except Refused as refusal:
                nobody = Wanted(name, Channel("", ""))
                refused.append((nobody, NotOpened(refusal.code, refusal.message)))
        if not self._answered(refused, openings):
            self._looking = True
            self.pod.spawn(self._look_slowly(refused, openings), self._failed)

    def _wanted(self, name: str, position: Position | None) -> Wanted:
        assert self._identity is not None
        channel = permit(self._identity, "subscribe", name, self.pod.rules)
        return Wanted(name, channel, position, from_mark=name == INBOX and position is None)

    async def _look_slowly(
        self, refused: Sequence[tuple[Wanted, Opened | NotOpened]], openings: Sequence[Opening]
    ) -> None:
        assert self._identity is not None
        await self.pod.openings.prepare(openings, self._identity.user)
        while not self._answered(refused, openings):
            await self.pod.openings.prepare(openings, self._identity.user)

    def _answered(self, refused: Sequence[tuple[Wanted, Opened | NotOpened]], openings: Sequence[Opening]) -> bool:
        """Answer or begin to wait, in one turn; False where something must be read first."""
        if self.done:
            return True
        results = list(refused)
        for opening in openings:
            result = opening.complete()
            if result is None:
                return False
            results.append((opening.wanted, result))
        for opening, (_, result) in zip(openings, results[len(refused) :], strict=True):
            if isinstance(result, Opened) and result.recovered is False:
                assert self._identity is not None
                user = self._identity.user
                self.pod.gaps.opened(opening, result, "return", user=user, session="", transport="poll")
        self._looking = False
        uninvited = answer_poll([each for each in results if each[0].name in self._uninvited], limit=0)
        found = answer_poll([each for each in results if each[0].name not in self._uninvited], limit=self._ask.limit)
        found.positions |= uninvited.positions
        found.frames += self._heard
        self._announced += uninvited.frames
        self._uninvited = frozenset()
        self._positions = found.positions
        if found.frames or self.pod.now() >= self._until:
            self._finish(found)
        elif not self._waits:
            self._wait([opening.live for opening in openings])
        return True

    def _wait(self, lives: list[LiveChannel]) -> None:
        self._waits = True
        self._lives = lives
        for live in lives:
            live.wait(self)
        self._door.wait_until(self._until)

    def hear(self, frames: Sequence[bytes]) -> None:
        """Keep publications of an ephemeral channel."""
        if not self._resting:
            self._heard += frames[: self._ask.limit - len(self._heard)]

    def answer(self, turn: Turn) -> None:
        """Look again; ``turn`` holds what was composed for others who asked the same."""
        if self.done or self._looking or self._resting:
            return
        try:
            if not self._answered_at_once(turn):
                self._look()
        except Exception as error:  # a fault of ours must cost one poll, not those behind it
            self._broke(error)

    def _broke(self, error: Exception) -> None:
        self.pod.log.exception("connection.failed", error)
        self.cancel()
        self._door.refuse(OUR_FAULT)

    def _failed(self) -> None:
        if not self.done:
            self._end()
            self._door.refuse(OUR_FAULT)

    def tick(self) -> None:
        """The time to wait is over."""
        self._finish_as_it_is()

    def tell_drain(self, *, after_ms: int) -> None:
        """Wait on: nothing can be told before the answer."""

    def leaving(self) -> None:
        """Wait on; who rests will be answered as the others where it asks again."""
        if self._resting:
            self._end()

    def drain(self) -> None:
        """Answer with what there is: the next poll goes to another pod."""
        self._until = self.pod.now()  # where it is not yet known who asks
        self._finish_as_it_is()

    def groups_changed(self, *, joined: tuple[str, ...], left: tuple[str, ...]) -> None:
        """Answer, and say what changed: the next poll comes with the new rights. A repeat changes nothing."""
        if self._resting:
            self._end()  # who that is will be asked again
        if self.done or self._identity is None:
            return
        identity = self._identity.changed(joined=joined, left=left)
        if identity == self._identity:
            return
        self._identity = identity
        self._until = self.pod.now()
        if self._looking:  # it answers when it is done; the next poll hears of the groups
            return
        gone = {str(group_channel(group)) for group in left} - {str(group_channel(group)) for group in identity.groups}
        for name in sorted(gone & self._positions.keys()):
            self._announced.append(unsubscribed_frame(name, ErrorCode.PERMISSION_DENIED, "the user's rights changed"))
        self._positions = {name: at for name, at in self._positions.items() if name not in gone}
        self._invite(identity)
        self._look()

    def advised(self, policy: bytes) -> None:
        """Wait on: who polls asks for the policy."""

    def rules_changed(self, renewed: Set[Channel]) -> None:
        """Answer with what there is: the next poll comes under the new rules."""
        if self._resting:
            self._end()
        else:
            self._finish_as_it_is()

    def acked(self, channel: Channel, offset: int, origin: str) -> None:
        """Pass on that another device acknowledged."""
        for live in () if self._resting else self._lives:
            if live.channel == channel:
                self._heard.append(encode(AckedFrame(channel=live.name.decode(), offset=offset)))
                self._finish_as_it_is()

    # End

    def _finish_as_it_is(self) -> None:
        self._finish(PollAnswer(list(self._heard), dict(self._positions)))

    def _finish(self, found: PollAnswer) -> None:
        if self.done or self._identity is None:
            return
        self._end()
        self.pod.counters.accepted["poll"] += 1
        found.frames[:0] = self._announced
        self._tell(found, self._identity)

    def cancel(self) -> None:
        """The client is gone, or asks for something else."""
        if not self.done:
            self._end()

    def _end(self) -> None:
        pod = self.pod
        now = pod.now()
        if not self._resting:
            pod.counters.open["poll"] -= 1
        self.done, self._resting = True, False
        pod.forget(self)
        for live in self._lives:
            live.unwait(self, now=now)
        if self._identity is not None:
            pod.users.detach(self._identity.user, self, now=now)
