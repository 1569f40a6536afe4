"""What an inbox holds: a newer message of a topic replaces the older one, what was withdrawn or has expired is gone,
and every device comes to the same, whatever it saw before and whatever was deleted meanwhile.
"""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from whimbrel.edge.core.inbox import Contents, count_and_list, current, page_of, read_head, shown
from whimbrel.edge.core.recovery import chained
from whimbrel.edge.core.ring import Stored
from whimbrel.edge.core.subscription import Budget, Opened, encode_subscription, publication_frames
from whimbrel.protocol.publications import WITHDRAWN, encode_body

NOON = "2026-11-23T12:00:00.000Z"
BEFORE_NOON = "2026-11-23T11:59:59.999Z"
LATER = "2026-11-23T12:00:00.001Z"


def stored(offset: int, **fields: Any) -> Stored:
    """Return what the notifier stores: a message, or (``takes_back``) a withdrawal."""
    event_id = fields.get("event_id", f"e{offset}")
    if "takes_back" in fields:
        body = encode_body(WITHDRAWN, event_id, "t", json.dumps(fields["takes_back"]).encode())
    else:
        body = encode_body(
            "note", event_id, "t", b"%d" % offset, topic=fields.get("topic"), expires=fields.get("expires")
        )
    return Stored(offset, offset - 1, body)


def offsets_now(*publications: Stored, now: str = NOON) -> list[int]:
    return [head.offset for head in current([read_head(each.offset, each.body) for each in publications], now=now)]


def test_of_a_topic_only_the_newest_is_kept() -> None:
    assert offsets_now(stored(1, topic="a"), stored(2), stored(3, topic="b"), stored(4, topic="a")) == [2, 3, 4]


def test_what_was_taken_back_by_its_event_is_gone_and_a_later_one_of_the_same_id_is_not() -> None:
    take_back = stored(2, takes_back={"event_id": "x"})
    assert offsets_now(stored(1, event_id="x"), take_back, stored(3, event_id="x")) == [3]


def test_what_was_taken_back_by_its_topic_is_gone_and_a_later_one_of_the_topic_is_not() -> None:
    take_back = stored(3, takes_back={"topic": "a"})
    assert offsets_now(stored(1, topic="a"), stored(2), take_back, stored(4, topic="a")) == [2, 4]


def test_what_expired_is_gone_and_still_took_the_place_of_what_was_before() -> None:
    assert offsets_now(stored(1, topic="a"), stored(2, topic="a", expires=NOON)) == []
    assert offsets_now(stored(1, expires=BEFORE_NOON), stored(2, expires=NOON), stored(3, expires=LATER)) == [3]


@pytest.mark.parametrize("body", [b"", b"{}", b"hello", b'{"event":"whimbrel.withdrawn","event_id":"1","data":7}'])
def test_what_nobody_can_read_takes_nothing_else_away(body: bytes) -> None:
    assert 1 in offsets_now(stored(1), Stored(2, 1, body))


def test_a_text_that_looks_like_the_end_of_the_head_does_not_end_it() -> None:
    body = encode_body('","data":', '","data":', "t", b"1", topic="a")
    assert (read_head(1, body).event_id, read_head(1, body).topic) == ('","data":', "a")


def test_a_client_is_told_of_no_gap_where_something_is_left_out() -> None:
    told = shown([stored(1, topic="a"), stored(2), stored(3, event_id="x"), stored(4, topic="a")], now=NOON)
    assert [(each.offset, each.prev) for each in told] == [(2, 0), (3, 2), (4, 3)]


def test_who_may_show_what_a_message_that_is_gone_took_the_place_of_is_told_to_take_it_back() -> None:
    for gone in (
        [stored(2, topic="a", expires=NOON)],
        [stored(2, topic="a"), stored(3, takes_back={"event_id": "e2"})],
    ):
        told = shown([stored(1), *gone], now=NOON)
        head = read_head(told[1].offset, told[1].body)
        assert (head.offset, head.is_withdrawal, head.withdrawn_topic) == (2, True, "a")


def test_a_withdrawal_is_told_to_everybody_who_missed_it() -> None:
    told = shown([stored(1, event_id="x"), stored(2, takes_back={"event_id": "x"})], now=NOON)
    assert [each.offset for each in told] == [2]


def test_where_the_last_one_expired_a_position_frame_says_that_nothing_is_missing() -> None:
    told = shown([stored(1), stored(2, expires=NOON), stored(3, expires=NOON)], now=NOON)
    members, rest = encode_subscription(Opened("e1", 0, True, told), Budget())
    assert [each["offset"] for each in json.loads(b"{%b}" % members)["publications"]] == [1]
    [frame] = publication_frames(b"inbox", rest)
    assert json.loads(frame) == {"type": "position", "channel": "inbox", "offset": 3, "prev": 1}
    assert Opened("e1", 0, True, told).end == 3


def contents(*publications: Stored, full: bool = False) -> Contents:
    heads = [read_head(each.offset, each.body) for each in publications]
    return Contents(heads, {each.offset: each.body for each in publications}, full)


def answer(*publications: Stored, full: bool = False, **asked: Any) -> dict[str, Any]:
    asked = {"read": 0, "unread": False, "before": None, "limit": 200, "epoch": "e1", "now": NOON} | asked
    found: dict[str, Any] = json.loads(b"{%b}" % count_and_list(contents(*publications, full=full), **asked))
    found["publications"] = [each["data"] for each in found["publications"]]
    return found


FIVE = [stored(number) for number in range(1, 6)]


def test_unread_is_what_is_behind_the_read_mark() -> None:
    assert answer(*FIVE, read=3) == {
        "epoch": "e1",
        "read": 3,
        "unread": 2,
        "complete": True,
        "publications": [1, 2, 3, 4, 5],
    }
    assert answer(*FIVE, read=3, unread=True)["publications"] == [4, 5]
    assert answer(*FIVE, stored(6, takes_back={"event_id": "e5"}), read=3)["unread"] == 1


def test_an_inbox_is_listed_in_pages_from_the_newest_back() -> None:
    assert answer(*FIVE, limit=2)["publications"] == [4, 5]
    assert answer(*FIVE, limit=2, before=4)["publications"] == [2, 3]
    assert answer(*FIVE, limit=0)["unread"] == 5
    assert answer(*FIVE, limit=0)["publications"] == []


def test_a_list_ends_where_its_bytes_are_over_and_the_next_page_goes_on() -> None:
    body = encode_body("note", "e", "t", json.dumps("x" * 300_000).encode())
    larger = [Stored(number, number - 1, body) for number in (1, 2, 3)]
    listed = count_and_list(contents(*larger), read=0, unread=False, before=None, limit=200, epoch="e1", now=NOON)
    assert [each["offset"] for each in json.loads(b"{%b}" % listed)["publications"]] == [3]


def test_an_inbox_full_of_unread_messages_says_that_others_may_have_been_dropped() -> None:
    assert answer(*FIVE, full=True)["complete"] is False
    assert answer(*FIVE, full=True, read=1)["complete"] is True, "what was dropped was read"
    assert answer(*FIVE)["complete"] is True


def test_history_of_an_inbox_pages_through_what_is_there_now() -> None:
    held = contents(stored(1), stored(2, topic="a"), stored(3), stored(4, topic="a"), stored(5))
    assert [each.offset for each in page_of(held, after=None, before=None, limit=2, now=NOON)] == [4, 5]
    assert [each.offset for each in page_of(held, after=1, before=None, limit=2, now=NOON)] == [3, 4]
    assert [(each.offset, each.prev) for each in page_of(held, after=1, before=5, limit=9, now=NOON)] == [
        (3, 1),
        (4, 3),
    ]
    assert page_of(held, after=None, before=None, limit=0, now=NOON) == []


class Device:
    """A device by the contract's rules: what it shows is what it was told, less what was replaced or taken back."""

    def __init__(self) -> None:
        self.position = 0
        self.showing: dict[int, Stored] = {}

    def take(self, publication: Stored) -> None:
        if publication.offset <= self.position:
            return
        assert publication.prev <= self.position, "a gap"
        self.position = publication.offset
        if not publication.body:
            return
        head = read_head(publication.offset, publication.body)
        for offset, each in list(self.showing.items()):
            other = read_head(offset, each.body)
            replaced = other.topic and other.topic in (head.topic, head.withdrawn_topic)
            if replaced or other.event_id == head.withdrawn_event:
                del self.showing[offset]
        if not head.is_withdrawal:
            self.showing[publication.offset] = publication

    def visible(self, now: str) -> set[int]:
        heads = (read_head(offset, each.body) for offset, each in self.showing.items())
        return {head.offset for head in heads if not head.expires or head.expires > now}


class Inbox(RuleBasedStateMachine):
    """Teams publish, users acknowledge, devices come and go, the notifier deletes what is superfluous as it pleases."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Stored] = []  # everything, for ever
        self.deleted: set[int] = set()
        self.clock = 0
        self.mark = 0
        self.devices = [Device(), Device()]
        self.online = [False, False]

    @property
    def now(self) -> str:
        return f"2026-11-23T12:00:{self.clock:02d}.000Z"

    def publish(self, **fields: Any) -> None:
        prev = self.log[-1].offset if self.log else 0
        one = stored(prev + 1, **fields)._replace(prev=prev)
        self.log.append(one)
        for device, online in zip(self.devices, self.online, strict=True):
            if online:
                device.take(one)

    @rule(topic=st.sampled_from([None, "a", "b"]), ttl_s=st.sampled_from([None, 1, 5]))
    def a_message(self, topic: str | None, ttl_s: int | None) -> None:
        expires = None if ttl_s is None else f"2026-11-23T12:00:{self.clock + ttl_s:02d}.000Z"
        self.publish(topic=topic, expires=expires)

    @rule(number=st.integers(1, 12))
    def withdraw(self, number: int) -> None:
        self.publish(takes_back={"event_id": f"e{number}"})

    @rule(topic=st.sampled_from("ab"))
    def withdraw_topic(self, topic: str) -> None:
        self.publish(takes_back={"topic": topic})

    @precondition(lambda self: self.clock < 50)
    @rule()
    def time_passes(self) -> None:
        self.clock += 1

    @precondition(lambda self: self.log)
    @rule(back=st.integers(0, 5))
    def acknowledge(self, back: int) -> None:
        self.mark = max(self.mark, self.log[-1].offset - back)

    @rule(choice=st.randoms(use_true_random=False))
    def the_notifier_deletes_one(self, choice: Any) -> None:
        """… but nothing that keeps away what it took the place of: the newest of a topic stays, or its withdrawal."""
        heads = [read_head(each.offset, each.body) for each in self.log]
        superfluous = []
        for at, head in enumerate(heads):
            later = heads[at + 1 :]
            if head.topic:
                gone = any(head.topic in (each.topic, each.withdrawn_topic) for each in later)
            else:
                gone = not head.is_withdrawal and any(each.withdrawn_event == head.event_id for each in later)
            if gone and head.offset not in self.deleted:
                superfluous.append(head.offset)
        if superfluous:
            self.deleted.add(choice.choice(superfluous))

    @rule(number=st.integers(0, 1))
    def leave(self, number: int) -> None:
        self.online[number] = False

    @rule(number=st.integers(0, 1))
    def come_back(self, number: int) -> None:
        device = self.devices[number]
        missed = [each for each in self.log if each.offset > device.position and each.offset not in self.deleted]
        read = chained([(each.offset, each.body, b"") for each in missed], device.position)
        told = shown(read, now=self.now) if read else ()
        for publication in told:
            device.take(publication)
        self.online[number] = True

    @invariant()
    def what_is_there_is_what_the_rules_say(self) -> None:
        """By the definition, message by message, of the log as it was before anything was deleted."""
        heads = [read_head(each.offset, each.body) for each in self.log]
        expected = []
        for at, head in enumerate(heads):
            later = heads[at + 1 :]
            gone = (
                head.is_withdrawal
                or (head.expires and head.expires <= self.now)
                or any(head.topic and head.topic in (each.topic, each.withdrawn_topic) for each in later)
                or any(each.withdrawn_event == head.event_id for each in later)
            )
            if not gone:
                expected.append(head.offset)
        left = [head for head in heads if head.offset not in self.deleted]
        assert [head.offset for head in current(left, now=self.now)] == expected
        held = Contents(left, {each.offset: each.body for each in self.log}, False)
        told = json.loads(
            b"{%b}"
            % count_and_list(held, read=self.mark, unread=True, before=None, limit=200, epoch="e1", now=self.now)
        )
        assert told["unread"] == sum(offset > self.mark for offset in expected)
        assert [each["offset"] for each in told["publications"]] == [each for each in expected if each > self.mark]

    @invariant()
    def every_device_that_is_there_shows_it(self) -> None:
        heads = [read_head(each.offset, each.body) for each in self.log if each.offset not in self.deleted]
        expected = {head.offset for head in current(heads, now=self.now)}
        for device, online in zip(self.devices, self.online, strict=True):
            if online:
                assert device.visible(self.now) == expected
                assert device.position == (self.log[-1].offset if self.log else 0)


def test_every_device_comes_to_the_same_inbox_and_the_same_count() -> None:
    run_state_machine_as_test(
        Inbox, settings=settings(max_examples=40, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow])
    )
