"""Whatever is lost, repeated, trimmed or restarted: a client sees everything once and in order, or is told to reload.

A model of a history stream with retention, a lossy live path and a pod stands around the edge's real cores.
"""

from collections import deque

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.edge.people import EPOCH, a_publication
from whimbrel.edge.core import recovery
from whimbrel.edge.core.effects import Wanted
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.opening import Opening
from whimbrel.edge.core.recovery import Complete, NeedsBounds, StreamBounds, Unrecoverable, judge
from whimbrel.edge.core.ring import Ring, Stored, Verdict
from whimbrel.edge.core.subscription import Opened
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.positions import Position

CHANNEL = Channel("orders", "42")
RETAINED = 6
LIMIT = 4
RING = 3


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "RETAINED_PER_CHANNEL", RETAINED)
    monkeypatch.setattr(recovery, "RECOVERY_LIMIT", LIMIT)
    monkeypatch.setattr("whimbrel.edge.core.ring.RING_PUBLICATIONS", RING)


class Subscriber:
    """A client that follows the rule of `prev` (docs/websocket-api.md) and nothing else."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.connected = False
        self.base = 0  # what it applied is everything after this
        self.applied: list[int] = []

    def start(self, opened: Opened) -> None:
        self.connected = True
        if opened.recovered is False or self.position is None:
            self.base, self.applied = opened.offset, []
        self.position = opened.offset
        for publication in opened.publications:
            self.take(publication)

    def take(self, publication: Stored) -> None:
        assert self.position is not None
        if publication.offset <= self.position:
            return
        if publication.prev > self.position:
            self.connected = False  # a gap: subscribe again from the position
            return
        self.applied.append(publication.offset)
        self.position = publication.offset


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.last = 0  # the stream's last sequence; other channels' publications make holes
        self.first = 1
        self.published: list[int] = []
        self.stored: list[int] = []
        self.flying: deque[Stored] = deque()  # republished, not yet heard
        self.clients = [Subscriber() for _ in range(3)]
        self.start_pod()

    # The stream

    @rule(holes=st.integers(0, 3))
    def publish(self, holes: int) -> None:
        self.last += holes + 1
        prev = self.stored[-1] if self.stored else 0
        self.published.append(self.last)
        self.stored = [*self.stored, self.last][-RETAINED:]
        self.flying.append(a_publication(self.last, prev))

    @rule(holes=st.integers(1, 5))
    def others_publish(self, holes: int) -> None:
        self.last += holes

    @rule(share=st.floats(0, 1))
    def old_messages_expire(self, share: float) -> None:
        self.sweep()  # histories live for days, and a sweep comes every minute
        self.first += int((self.last + 1 - self.first) * share)
        self.stored = [seq for seq in self.stored if seq >= self.first]

    def read(self, position: int) -> Complete | Unrecoverable:
        messages = [(seq, a_publication(seq, 0).body, b"") for seq in self.stored if seq >= position]
        page, pending = messages[: LIMIT + 1], max(0, len(messages) - LIMIT - 1)
        verdict = judge(position, page, pending, None)
        if isinstance(verdict, NeedsBounds):
            verdict = judge(position, page, pending, StreamBounds(self.first, self.last))
        assert not isinstance(verdict, NeedsBounds)
        return verdict

    # The pod

    @rule()
    def restart_pod(self) -> None:
        for client in self.clients:
            client.connected = False
        self.start_pod()

    def start_pod(self) -> None:
        self.live = LiveChannel(CHANNEL, durable=True, epoch=EPOCH, now=0)
        self.live.ring = Ring(self.stored[-1] if self.stored else self.last, quiet=not self.stored)
        self.live.opened = True
        self.flying.clear()

    @precondition(lambda self: self.flying)
    @rule(fate=st.sampled_from(["arrives", "is lost", "comes twice", "overtakes"]))
    def republication(self, fate: str) -> None:
        if fate == "overtakes":
            self.flying.rotate(-1)
        message = self.flying.popleft()
        if fate == "is lost":
            return
        for _ in range(2 if fate == "comes twice" else 1):
            self.hear(message)

    @rule()
    def sweep(self) -> None:
        if self.stored:
            self.live.newest = max(self.live.newest, self.stored[-1])
        self.catch_up()

    def hear(self, message: Stored) -> None:
        if self.live.accept(message) is Verdict.NEXT:
            self.deliver([message])
        else:
            self.catch_up()

    def catch_up(self) -> None:
        if not self.live.behind:
            return
        assert self.live.ring is not None
        match self.read(self.live.ring.head):
            case Complete(publications):
                self.deliver([each for each in publications if self.live.accept(each) is Verdict.NEXT])
            case Unrecoverable():
                self.live.begin_anew(EPOCH, self.live.newest)
                for client in self.clients:
                    if client.connected:
                        client.start(Opened(EPOCH, self.live.newest, recovered=False))

    def deliver(self, publications: list[Stored]) -> None:
        for client in self.clients:
            for publication in publications:
                if client.connected:
                    client.take(publication)

    # Clients

    @rule(number=st.integers(0, 2))
    def leave(self, number: int) -> None:
        self.clients[number].connected = False

    @rule(number=st.integers(0, 2), meanwhile=st.integers(0, 3))
    def come_back(self, number: int, meanwhile: int) -> None:
        client = self.clients[number]
        client.connected = False
        at = None if client.position is None else Position(epoch=EPOCH, offset=client.position)
        opening = Opening(Wanted(str(CHANNEL), CHANNEL, at), self.live)
        ring = self.live.ring
        assert ring is not None
        if at is None:
            opening.begin(ring.head, None)
        elif ring.floor <= at.offset <= ring.head:
            opening.begin(at.offset, True)
        else:
            opening.begin(at.offset, True)
            self.read_up(opening)
        for _ in range(meanwhile):  # publications go on while the opening is prepared
            if self.flying:
                self.hear(self.flying.popleft())
        opened = opening.complete()
        while opened is None:
            before = opening.at
            self.read_up(opening)
            opened = opening.complete()
            assert opened is not None or opening.at > before, "a read brings an opening further"
        assert isinstance(opened, Opened)
        client.start(opened)

    def read_up(self, opening: Opening) -> None:
        match self.read(opening.at):
            case Complete(publications):
                opening.extend(publications)
            case Unrecoverable() as why:
                opening.give_up(why)

    # What must always hold

    @invariant()
    def every_client_saw_everything_once_and_in_order(self) -> None:
        for client in self.clients:
            if client.position is not None:
                expected = [seq for seq in self.published if client.base < seq <= client.position]
                assert client.applied == expected

    def teardown(self) -> None:
        """After a sweep and a return, nobody is behind."""
        self.sweep()
        for number, client in enumerate(self.clients):
            if client.position is not None:
                self.come_back(number, 0)
                self.every_client_saw_everything_once_and_in_order()
                if self.stored:
                    assert client.position >= self.stored[-1]


def test_no_gap_no_duplicate_no_reordering_or_an_explicit_reset() -> None:
    run_state_machine_as_test(Model, settings=settings(max_examples=80, stateful_step_count=40))


def test_the_property_catches_a_pod_that_trusts_every_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "RETAINED_PER_CHANNEL", 10_000)  # the proof by the per-channel limit is switched off
    monkeypatch.setattr(recovery, "RECOVERY_LIMIT", 10_000)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Model,
            settings=settings(
                max_examples=5_000,  # it ends with the first that finds the gap, one of a few hundred
                stateful_step_count=60,
                deadline=None,
                phases=[Phase.generate],
                report_multiple_bugs=False,
                database=None,
            ),
        )
