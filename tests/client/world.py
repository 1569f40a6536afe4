"""A network between a session and one channel's stream that loses, repeats and cuts, without sockets and clocks."""

from collections.abc import Sequence
from typing import Any

from tests.client.fake_stream import FakeStream
from whimbrel.client import Publication, Reset, State
from whimbrel.client.core.effects import AskToken, Deliver, Dial, Effect, HangUp, Opened, Repoll, Send
from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.polling import Poll
from whimbrel.client.core.session import Session
from whimbrel.client.core.timing import Timing
from whimbrel.client.core.transports import Preference
from whimbrel.client.events import ChannelEvent, Transport
from whimbrel.protocol.bodies import PollReply
from whimbrel.protocol.frames import Connect, Policy, Subscribe, Unsubscribe, decode_edge_object
from whimbrel.protocol.positions import Position

CHANNEL = "orders:42"
Json = dict[str, Any]


class Link:
    """One transport between the two: what the edge has said and the client has not heard yet."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.open = False
        self.subscribed = False
        self.on_the_way: list[Json] = []
        self.poll: Poll | None = None

    def lose(self) -> None:
        for index, frame in enumerate(self.on_the_way):
            if frame["type"] == "publication":
                del self.on_the_way[index]
                return

    def repeat(self) -> None:
        for index, frame in enumerate(self.on_the_way):
            if frame["type"] == "publication":
                self.on_the_way.insert(index, frame)
                return


class World:
    """Everything that can happen, one call each. ``heard`` is what the application got, in order."""

    def __init__(self, preference: Preference = "auto", *, capacity: int = 1000) -> None:
        self.stream = FakeStream()
        self.published: list[tuple[str, int]] = []  # by epoch and offset, in order
        self.heard: list[ChannelEvent] = []
        self.links: dict[int, Link] = {}
        self.now = 0.0
        self.position: Position | None = None
        self.untaken = 0
        self.capacity = capacity
        timing = Timing(backoff_base_s=1, backoff_cap_s=1, retry_s=1, probe_s=5)
        self.session = Session(timing=timing, preference=preference, renewable=True, jitter=lambda: 0.5)
        self.perform(self.session.start(self.now))
        begin = Position(epoch=self.stream.epoch, offset=0)
        effects = self.session.subscribe(CHANNEL, position=begin, last=None, capacity=capacity, now=self.now)
        self.perform(effects)
        self.settle()

    # --- effects

    def perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case AskToken():
                    self.perform(self.session.token("a token", self.now))
                case Dial(link=link, transport=transport):
                    self.links[link] = Link(transport)
                case HangUp(link=link):
                    self.links.pop(link, None)
                case Repoll(link=link) if link in self.links:
                    self.links[link].poll = None
                case Send(link=link, frame=frame) if link in self.links:
                    self._request(self.links[link], frame)
                case Deliver(event=event, position=position):
                    self.position = position
                    if event is not None:
                        self.heard.append(event)
                    self.untaken += isinstance(event, Publication)
                case Opened():
                    pass

    def _request(self, link: Link, frame: object) -> None:
        assert link.transport == "websocket" or isinstance(frame, Connect), "nothing else goes up beside a stream"
        match frame:
            case Connect(id=frame_id, channels=channels):
                link.subscribed = CHANNEL in channels
                answers = {name: self.stream.subscription(_plain(at)) for name, at in channels.items()}
                link.on_the_way.append(
                    {
                        "type": "connected", "id": frame_id, "session": "s", "user": "alice", "expires_in": 3600,
                        "ping": 1000, "pong": 1000, "channels": answers,
                        "limits": {"frame_bytes": 65536, "channels": 128, "publish_per_s": 1},
                    }
                )  # fmt: skip
            case Subscribe(id=frame_id, position=position) if link.subscribed:
                error = {"type": "error", "id": frame_id, "code": 104, "slug": "already_subscribed", "message": "open"}
                link.on_the_way.append(error | {"temporary": False})
            case Subscribe(id=frame_id, position=position):
                link.subscribed = True
                answer = self.stream.subscription(_plain(position))
                link.on_the_way.append({"type": "subscribed", "id": frame_id, "channel": CHANNEL} | answer)
            case Unsubscribe(id=frame_id):
                link.subscribed = False
                link.on_the_way.append({"type": "ok", "id": frame_id})

    # --- what happens

    def publish(self, *, visible: bool = True) -> None:
        publication = self.stream.append("e", None)
        if visible:
            self.published.append((self.stream.epoch, publication["offset"]))
            frame = publication | {"channel": CHANNEL}
        else:
            self.stream.publications.remove(publication)
            self.stream.newest = publication["prev"]
            frame = {name: publication[name] for name in ("offset", "prev")} | {"type": "position", "channel": CHANNEL}
        for link in self.links.values():
            if link.transport != "poll" and link.subscribed:
                link.on_the_way.append(frame)

    def open(self, number: int) -> None:
        """The transport of a link comes up, or its next poll goes out."""
        link = self._pick(number)
        if link is None:
            return
        key, it = link
        if it.transport != "poll" and not it.open:
            it.open = True
            self.perform(self.session.opened(key, self.now))
        elif it.transport == "poll" and it.poll is None:
            it.poll = self.session.poll(key, self.now)

    def hear(self, number: int) -> None:
        """The next frame of a link, or the answer to its poll, arrives."""
        link = self._pick(number)
        if link is None:
            return
        key, it = link
        if it.poll is not None:
            asked, it.poll = it.poll, None
            self.perform(self.session.polled(key, asked, self._answer(asked), self.now))
        elif it.on_the_way:
            frames = decode_edge_object(it.on_the_way.pop(0))
            self.perform(self.session.received(key, frames, self.now))

    def lose(self, number: int) -> None:
        """A publication never arrives, though what is behind it does."""
        link = self._pick(number)
        if link is not None:
            link[1].lose()

    def repeat(self, number: int) -> None:
        """A publication arrives twice."""
        link = self._pick(number)
        if link is not None:
            link[1].repeat()

    def cut(self, number: int) -> None:
        """A link breaks; what was on the way is lost."""
        link = self._pick(number)
        if link is not None:
            del self.links[link[0]]
            self.perform(self.session.lost(link[0], Loss(BROKEN, "cut"), self.now))

    def advise(self, best: Transport) -> None:
        """The edge wants its clients on another transport."""
        order = sorted(("websocket", "sse", "poll"), key=lambda each: each != best)
        policy = Policy.model_validate(
            {"transports": order, "heartbeat": {"ping": 1000, "pong": 1000}, "poll": {"interval": 1}}
        )
        for key in list(self.links):
            self.perform(self.session.received(key, [policy], self.now))

    def forget(self) -> None:
        """The stream drops what it retains."""
        self.stream.forget()

    def rebuild(self) -> None:
        """The stream is made anew: its history is lost, and whoever is subscribed is told."""
        self.stream = FakeStream(epoch=f"{self.stream.epoch}+", head=1)
        for link in self.links.values():
            if link.transport != "poll" and link.subscribed:
                lost = self.stream.subscription({"epoch": "another", "offset": 0})
                link.on_the_way.append({"type": "subscribed", "channel": CHANNEL} | lost)

    def wait(self) -> None:
        """Time passes until something is due."""
        deadline = self.session.deadline
        if deadline is not None:
            self.now = max(self.now, deadline)
            self.perform(self.session.tick(self.now))

    def take(self) -> None:
        """The application takes what waits for it."""
        taken, self.untaken = self.untaken, 0
        self.perform(self.session.taken(CHANNEL, taken, self.now))

    def settle(self) -> None:
        """Nothing goes wrong any more: let everything arrive."""
        quiet = 0
        for _ in range(1000):
            for number in range(len(self.links)):
                self.open(number)
                for _ in range(10):
                    self.hear(number)
            if self.untaken:
                self.take()
            elif self.session.state is State.CONNECTED and self._caught_up():
                quiet += 1
                if quiet == 3:
                    return
            else:
                quiet = 0
                self.wait()
        raise AssertionError("it never settled")

    def _caught_up(self) -> bool:
        last = max((offset for epoch, offset in self.published if epoch == self.stream.epoch), default=0)
        return self.position is not None and self.position.epoch == self.stream.epoch and self.position.offset >= last

    def _pick(self, number: int) -> tuple[int, Link] | None:
        keys = sorted(self.links)
        return (keys[number % len(keys)], self.links[keys[number % len(keys)]]) if keys else None

    def _answer(self, asked: Poll) -> PollReply:
        frames: list[Json] = []
        positions: Json = {}
        for channel, at in asked.channels.items():
            answer = self.stream.subscription(_plain(at))
            publications = answer.pop("publications")[:3]
            if not answer.get("recovered"):
                frames.append({"type": "subscribed", "channel": channel} | answer)
            frames += [each | {"channel": channel} for each in publications]
            end = publications[-1]["offset"] if publications else answer["offset"]
            positions[channel] = {"epoch": answer["epoch"], "offset": end}
        return PollReply.model_validate({"frames": frames, "channels": positions})


def judge(world: World) -> None:
    """Fail unless the application heard each publication once and in order, or was told of every gap by a reset."""
    at = 0  # how many of `published` lie behind the application
    for event in world.heard:
        match event:
            case Publication(offset=offset):
                epochs = [(epoch, each) for epoch, each in world.published[at:] if each == offset]
                assert epochs, f"{offset} came twice or out of order"
                assert world.published[at][1] == offset, f"{world.published[at]} is missing before {offset}"
                at += 1
            case Reset(position=position):
                behind = [
                    index
                    for index, (epoch, offset) in enumerate(world.published)
                    if epoch == position.epoch and offset > position.offset
                ]
                ahead = behind[0] if behind else _end_of(world, position.epoch)
                assert ahead >= at, "a reset led back"
                at = ahead
    assert at == len(world.published), f"{world.published[at:]} never came"


def _end_of(world: World, epoch: str) -> int:
    return max((index + 1 for index, (each, _) in enumerate(world.published) if each <= epoch), default=0)


def _plain(position: Position | None) -> Json | None:
    return None if position is None else position.model_dump()
