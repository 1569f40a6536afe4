"""What nobody can deliver is kept with its reason, and holds up nothing else."""

import asyncio

import pytest

from tests.notifier.platform import Platform, body
from whimbrel.protocol.limits import MAX_EVENT_BYTES
from whimbrel.runtime.delivery import header


async def test_an_event_that_is_not_json_is_a_dead_letter_and_the_next_one_arrives(platform: Platform) -> None:
    platform.notifier()
    sequence = await platform.publish("events.shop.order.42", b"not json", {"ce-id": "e-1", "Nats-Msg-Id": "shop/e-1"})
    await platform.publish("events.shop.order.42", {"n": 2})
    (letter,) = await platform.dead_letters(1)
    assert letter.payload == b"not json"
    assert header(letter.headers, "whimbrel-reason-code") == "not_json"
    assert header(letter.headers, "whimbrel-reason") == ("the payload is not JSON: expected ident at line 1 column 2")
    assert header(letter.headers, "whimbrel-subject") == "events.shop.order.42"
    assert header(letter.headers, "whimbrel-sequence") == str(sequence)
    assert header(letter.headers, "ce-id") == "e-1"
    (stored,) = await platform.await_stored("orders:42", 1)
    assert body(stored)["data"] == {"n": 2}


async def test_each_reason_has_its_code(platform: Platform) -> None:
    platform.notifier(
        """
        routes:
          - {subject: events.shop.order.*, channels: "orders:{data.region}:{id}"}
          - {subject: events.shop.lost.*, channels: "nowhere:{id}"}
        """
    )
    await platform.publish("events.shop.order.1", {"region": "e.u"})
    await platform.publish("events.shop.order.2", {})
    await platform.publish("events.shop.other.3", {})
    await platform.publish("events.shop.lost.4", {})
    await platform.publish("events.shop.order.5", {"region": "eu"}, {"whimbrel-channels": "orders"})
    await platform.publish("events.shop.order.6", {"region": "eu"}, {"ce-time": "now"})
    await platform.publish("events.Shop.order.7", {"region": "eu"})
    letters = await platform.dead_letters(7)
    assert {
        header(one.headers, "whimbrel-subject"): header(one.headers, "whimbrel-reason-code") for one in letters
    } == {
        "events.shop.order.1": "bad_target",
        "events.shop.order.2": "bad_target",
        "events.shop.other.3": "unroutable",
        "events.shop.lost.4": "unknown_channel",
        "events.shop.order.5": "bad_audience",
        "events.shop.order.6": "bad_header",
        "events.Shop.order.7": "bad_subject",
    }


async def test_a_namespace_declared_a_moment_later_is_waited_for(platform: Platform) -> None:
    await platform.serving(platform.notifier("routes: [{subject: events.shop.>, channels: 'fresh:{id}'}]"))
    await platform.publish("events.shop.order.42", {"n": 1})
    await platform.publish("events.shop.order.42", {"n": 2})
    await platform.declare("fresh", b'{"durable":true}')
    assert [body(one)["data"]["n"] for one in await platform.await_stored("fresh:42", 2)] == [1, 2]


@pytest.mark.parametrize("excess", [0, 1])
async def test_an_event_may_be_as_large_as_the_contract_says_and_no_larger(platform: Platform, excess: int) -> None:
    platform.notifier()
    payload = b'"' + b"x" * (MAX_EVENT_BYTES - 2 + excess) + b'"'
    await platform.publish("events.shop.order.42", payload)
    if excess:
        (letter,) = await platform.dead_letters(1)
        assert header(letter.headers, "whimbrel-reason-code") == "too_large"
        assert letter.payload == payload
    else:
        (stored,) = await platform.await_stored("orders:42", 1)
        assert len(stored.payload) > MAX_EVENT_BYTES


async def test_a_dead_letter_is_counted_and_the_event_is_not_delivered_again(platform: Platform) -> None:
    notifier = await platform.serving(platform.notifier())
    await platform.publish("events.shop.unknown.42", {})
    await platform.dead_letters(1)
    async with asyncio.timeout(5):
        while not (await platform.statuses())[notifier.instance].detail["dead_letters"]:
            pass
    detail = (await platform.statuses())[notifier.instance].detail
    assert (detail["dead_letters"], detail["events"], detail["in_hand"]) == ({"unroutable": 1}, 1, 0)
