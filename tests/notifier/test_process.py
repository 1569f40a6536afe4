"""The process: how it refuses to start, what it traces and counts, how it leaves."""

import asyncio
import re
import urllib.request
from pathlib import Path

import pytest

from tests.notifier.platform import Notifier, Platform, body
from whimbrel.protocol import subjects
from whimbrel.runtime.delivery import header
from whimbrel.runtime.kv import Bucket

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("routes", "hint"),
    [
        ("routes: [", "cannot be used: line 1, column 10: not YAML"),
        ("routes: [{subject: shop.order.*, users: a}]", "cannot be used: routes[0].subject: 'shop.order.*'"),
    ],
)
async def test_routes_that_cannot_be_used_are_one_sentence_and_exit_code_2(
    platform: Platform, routes: str, hint: str
) -> None:
    notifier = platform.notifier(routes)
    assert await asyncio.to_thread(notifier.process.wait, 20) == 2
    assert hint in notifier.log
    assert "Traceback" not in notifier.log


async def test_routes_that_are_missing_are_one_sentence_and_exit_code_2(platform: Platform, tmp_path: Path) -> None:
    notifier = platform.notifier(WHIMBREL_NOTIFIER_ROUTES_FILE=str(tmp_path / "none.yaml"))
    assert await asyncio.to_thread(notifier.process.wait, 20) == 2
    assert "cannot read the routes" in notifier.log
    assert "Traceback" not in notifier.log


async def test_a_sampled_trace_travels_with_the_publication_and_an_unsampled_one_does_not(platform: Platform) -> None:
    platform.notifier()
    await platform.publish("events.shop.order.1", {}, {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    await platform.publish("events.shop.order.2", {}, {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"})
    (sampled,) = await platform.await_stored("orders:1", 1)
    (unsampled,) = await platform.await_stored("orders:2", 1)
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", header(sampled.headers, "traceparent") or "")
    assert header(unsampled.headers, "traceparent") is None


async def test_an_event_for_a_group_is_stored_once_whoever_is_in_it(platform: Platform) -> None:
    members = Bucket(platform.router, platform.reads, subjects.GROUPS)
    for number in range(20):
        await members.put(subjects.membership_key(f"member-{number}", "vip"), b"{}")
    platform.notifier("routes: []")
    before = await platform.in_histories()
    await platform.publish("events.shop.order.1", {"n": 1}, {"whimbrel-groups": "vip"})
    await platform.publish("events.shop.order.1", {"n": 2}, {"whimbrel-groups": "vip"})
    assert [body(each)["data"] for each in await platform.await_stored("group:vip", 2)] == [{"n": 1}, {"n": 2}]
    assert await platform.in_histories() == before + 2


async def test_an_ephemeral_channel_hears_the_event_live_and_keeps_nothing(platform: Platform) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    listener = platform.connection("edge")
    await listener.open()
    await listener.subscribe("live.typing.42", lambda delivery: heard.set_result(delivery.payload))
    await listener.flush()
    platform.notifier("routes: [{subject: events.>, channels: ['typing:{id}', 'orders:{id}']}]")
    await platform.publish("events.shop.order.42", {"by": "alice"}, {"ce-id": "e-1", "ce-time": "2026-11-23T06:00:00Z"})
    async with asyncio.timeout(20):
        assert await heard == (
            b'{"event":"order.event","event_id":"e-1","time":"2026-11-23T06:00:00Z","data":{"by": "alice"}}'
        )
    await platform.await_stored("orders:42", 1)
    assert await platform.stored("typing:42") == []
    await listener.close(timeout=0.2)


async def test_an_event_published_twice_under_one_id_is_stored_once(platform: Platform) -> None:
    platform.notifier()
    for number in (1, 2):
        await platform.publish("events.shop.order.42", {"n": number}, {"Nats-Msg-Id": "shop/e-1"})
    await platform.publish("events.shop.order.42", {"n": 3}, {"Nats-Msg-Id": "shop/e-2"})
    assert [body(one)["data"]["n"] for one in await platform.await_stored("orders:42", 2)] == [1, 3]


async def test_a_bulk_event_reaches_all_it_names_once(platform: Platform) -> None:
    notifier = platform.notifier("routes: [{subject: events.shop.>, users: ['{data.users}']}]")
    users = [f"u{number}" for number in range(3000)]
    await platform.publish("events.shop.news.1", {"users": users, "n": 1})
    await platform.publish("events.shop.news.1", {"users": users[-2:], "n": 2})
    assert [body(one)["data"]["n"] for one in await platform.await_stored("user:u2999", 2)] == [1, 2]
    detail = (await platform.statuses())[notifier.instance].detail
    assert (detail["publications"], detail["retries"]) == (3002, 0)


async def test_a_notifier_that_is_asked_to_stop_hands_over_at_once_and_says_what_it_did(platform: Platform) -> None:
    first = await platform.serving(platform.notifier())
    await platform.publish("events.shop.order.42", {"n": 1})
    await platform.await_stored("orders:42", 1)
    second = await platform.serving(platform.notifier())
    assert await asyncio.to_thread(first.stop) == 0
    (line,) = [line for line in first.log.splitlines() if "notifier.drained" in line]
    assert "events=1 publications=1 dead_letters=0 left_unfinished=0" in line
    await platform.publish("events.shop.order.42", {"n": 2})
    async with asyncio.timeout(3):  # well below the time that a pin lasts
        stored = await platform.await_stored("orders:42", 2)
    assert [body(one)["data"]["n"] for one in stored] == [1, 2]
    assert (await platform.statuses())[second.instance].detail["events"] == 1


async def _finished(platform: Platform, notifier: Notifier, events: int) -> None:
    async with asyncio.timeout(10):
        while True:
            if (await platform.statuses())[notifier.instance].detail["events"] == events:
                return


async def test_metrics_tell_what_was_done(platform: Platform) -> None:
    notifier = await platform.serving(platform.notifier())
    await platform.publish("events.shop.order.42", {"n": 1})
    await platform.publish("events.shop.order.42", b"{")
    await platform.dead_letters(1)
    await _finished(platform, notifier, 2)
    port = re.search(r"ops_port=(\d+)", notifier.log)
    assert port is not None
    text = await asyncio.to_thread(
        lambda: urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/metrics", timeout=5).read().decode()
    )
    lines = text.splitlines()
    assert 'whimbrel_notifier_publications_total{kind="stored"} 1' in lines
    assert 'whimbrel_notifier_dead_letters_total{reason="not_json"} 1' in lines
    assert "whimbrel_notifier_event_seconds_count 2" in lines
    assert sum(line.startswith("whimbrel_notifier_lag{") for line in lines) == 1
