"""What a team says of an event's life in inboxes, and what is stored there for it."""

import json

import pytest

from tests.notifier.events import EPOCH, STORED_AT_NS, a_message, an_event
from whimbrel.notifier.core.audience import Target
from whimbrel.notifier.core.composition import publications
from whimbrel.notifier.core.errors import Reason, Undeliverable
from whimbrel.notifier.core.inbox import PLAIN, Place, Terms
from whimbrel.protocol.channels import inbox_of
from whimbrel.protocol.limits import MAX_TOPIC_CHARS, MAX_TTL_S
from whimbrel.protocol.publications import TOPIC_PATTERN
from whimbrel.runtime.catalogue import HISTORY_AGE

ALICE = Target(inbox_of("alice"), True)
ORDER = Target(an_event(None, {"whimbrel-channels": "orders:42"}).channels[0], True)


@pytest.mark.parametrize(
    ("headers", "terms"),
    [
        ({}, PLAIN),
        ({"whimbrel-ttl": "3600"}, Terms(ttl_s=3600)),
        ({"Whimbrel-TTL": "604800", "whimbrel-topic": "order-42"}, Terms(ttl_s=604_800, topic="shop:order-42")),
        ({"whimbrel-withdraw": "8d 1f"}, Terms(withdraws_event="8d 1f")),
        ({"whimbrel-withdraw-topic": "order-42"}, Terms(withdraws_topic="shop:order-42")),
    ],
)
def test_headers_say_how_an_event_lives_in_inboxes(headers: dict[str, str], terms: Terms) -> None:
    assert an_event(None, headers).terms == terms


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        ({"whimbrel-ttl": "0"}, "whole seconds from 1 to 604800"),
        ({"whimbrel-ttl": "604801"}, "'604801'"),
        ({"whimbrel-ttl": "1h"}, "'1h'"),
        ({"whimbrel-ttl": "-1"}, "'-1'"),
        ({"whimbrel-ttl": "1.5"}, "'1.5'"),
        ({"whimbrel-ttl": "٣"}, "whole seconds"),
        ({"whimbrel-topic": ""}, "1 to 64 of"),
        ({"whimbrel-topic": "x" * 65}, "1 to 64 of"),
        ({"whimbrel-topic": "a b"}, "'a b'"),
        ({"whimbrel-topic": "orders.42"}, "'orders.42'"),
        ({"whimbrel-withdraw": ""}, "the id of an event"),
        ({"whimbrel-withdraw": "x" * 257}, "1 to 256"),
        ({"whimbrel-withdraw-topic": "*"}, "'*'"),
        ({"whimbrel-withdraw": "1", "whimbrel-withdraw-topic": "a"}, "exclude each other"),
        ({"whimbrel-withdraw": "1", "whimbrel-ttl": "5"}, "a withdrawal is all"),
        ({"whimbrel-withdraw-topic": "a", "whimbrel-topic": "a"}, "a withdrawal is all"),
    ],
)
def test_what_cannot_be_meant_is_a_dead_letter_with_its_reason(headers: dict[str, str], hint: str) -> None:
    with pytest.raises(Undeliverable, match="whimbrel-") as refusal:
        an_event(None, headers)
    assert refusal.value.reason is Reason.BAD_INBOX
    assert hint in refusal.value.message


def test_an_inbox_stores_topic_and_end_and_a_channel_only_what_happened() -> None:
    event = an_event({"n": 1}, {"ce-id": "e1", "whimbrel-ttl": "60", "whimbrel-topic": "order-42"})
    inbox, order = publications(event, [ALICE, ORDER], a_message(), epoch=EPOCH)
    body = json.loads(inbox.body)
    assert (body["topic"], body["expires"]) == ("shop:order-42", "2026-11-23T06:02:37.972Z"), (
        "a minute after it was stored"
    )
    assert inbox.headers["whimbrel-topic"] == "shop:order-42"
    assert inbox.place == Place("e1", topic="shop:order-42")
    assert json.loads(order.body).keys() == {"event", "event_id", "time", "data"}
    assert (list(order.headers), order.place) == (["Nats-Msg-Id"], None)


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        ({"whimbrel-withdraw": "e1"}, {"event_id": "e1"}),
        ({"whimbrel-withdraw-topic": "order-42"}, {"topic": "shop:order-42"}),
    ],
)
def test_a_withdrawal_says_in_inboxes_what_it_takes_back_and_is_an_event_elsewhere(
    headers: dict[str, str], data: dict[str, str]
) -> None:
    event = an_event({"n": 1}, {"ce-id": "e2", "ce-type": "order.cancelled", **headers})
    inbox, order = publications(event, [ALICE, ORDER], a_message(), epoch=EPOCH)
    body = json.loads(inbox.body)
    assert (body["event"], body["event_id"], body["data"]) == ("whimbrel.withdrawn", "e2", data)
    assert (json.loads(order.body)["event"], json.loads(order.body)["data"]) == ("order.cancelled", {"n": 1})


def test_what_expired_on_its_way_reaches_no_inbox() -> None:
    event = an_event(None, {"whimbrel-ttl": "60"})
    stored_at = STORED_AT_NS / 1e9
    for later_s, reached in ((59, ["user:alice", "orders:42"]), (61, ["orders:42"])):
        found = publications(event, [ALICE, ORDER], a_message(), epoch=EPOCH, now=stored_at + later_s)
        assert [each.key for each in found] == reached


def test_what_has_no_terms_is_stored_as_everywhere() -> None:
    inbox, order = publications(an_event({"n": 1}), [ALICE, ORDER], a_message(), epoch=EPOCH)
    assert inbox.body == order.body
    assert (list(inbox.headers), inbox.place) == (["Nats-Msg-Id"], Place("5eed-7"))


def test_nothing_may_live_longer_than_a_history_keeps_it() -> None:
    assert HISTORY_AGE == MAX_TTL_S * 1_000_000_000
    assert TOPIC_PATTERN.endswith(f"{{1,{MAX_TOPIC_CHARS}}}")
