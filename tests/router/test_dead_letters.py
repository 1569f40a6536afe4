"""What could not be delivered is shown, published again once its cause is mended, or dropped: on a real bus."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.router.asking import assert_problem
from tests.support.bus import Connect, Serving
from whimbrel.protocol import publications, subjects
from whimbrel.router.shell import deadletters
from whimbrel.runtime import jetstream
from whimbrel.runtime.delivery import fields
from whimbrel.runtime.directget import DirectGet, Stored
from whimbrel.runtime.nats import Connection


@pytest.fixture
async def notifier(router: Serving, connect: Connect) -> Connection:
    """Who puts events aside."""
    return await connect("notifier")


async def put_aside(
    notifier: Connection,
    number: int,
    *,
    subject: str = "",
    code: str = "unroutable",
    payload: bytes | None = None,
    event_sequence: int = 0,
) -> None:
    event_sequence = event_sequence or 40 + number
    headers = {
        publications.MSG_ID: f"epoch-{event_sequence}-dlq",
        "ce-id": f"e{number}",
        "ce-type": "order.shipped",
        publications.REASON_CODE: code,
        publications.REASON: "no route names a target",
        publications.ORIGINAL_SUBJECT: subject or f"events.shop.order.{number}",
        publications.ORIGINAL_SEQUENCE: str(event_sequence),
    }
    body = b'{"n":%d}' % number if payload is None else payload
    await jetstream.publish(notifier, subjects.DLQ_NOTIFIER, body, headers)


async def letters(router: Serving, **wanted: Any) -> list[Any]:
    reply = await router.http.get("/v1/dlq", params=wanted)
    found: list[Any] = reply.json()["letters"]
    return found


async def events(connect: Connect) -> list[Stored]:
    return (await DirectGet(await connect("router")).batch(subjects.EVENTS, None, 1)).messages


def publishers(event: Stored) -> Mapping[str, str]:
    return {name: value for name, value in fields(event.headers).items() if not name.startswith("Nats-")}


async def test_they_are_listed_oldest_first_and_in_pages(router: Serving, notifier: Connection) -> None:
    for number in range(5):
        await put_aside(notifier, number)
    await jetstream.publish(notifier, subjects.DLQ_NOTIFIER, b"\xff not text")
    first = (await router.http.get("/v1/dlq", params={"limit": 2})).json()
    assert (first["after"], first["complete"]) == (2, False)
    assert [letter["sequence"] for letter in first["letters"]] == [1, 2]
    assert first["letters"][0].pop("time").endswith("Z")
    assert first["letters"][0] == {
        "sequence": 1,
        "subject": "events.shop.order.0",
        "event_sequence": 40,
        "code": "unroutable",
        "reason": "no route names a target",
        "headers": {"ce-id": "e0", "ce-type": "order.shipped"},
        "data": '{"n":0}',
    }
    rest = (await router.http.get("/v1/dlq", params={"after": 2})).json()
    assert [letter["sequence"] for letter in rest["letters"]] == [3, 4, 5, 6]
    assert (rest["letters"][-1]["data"], rest["complete"]) == ("� not text", True)
    assert await letters(router, after=6) == []
    assert (await router.http.get("/v1/status")).json()["dead_letters"] == 6


async def test_they_are_found_by_reason_and_by_subject(
    router: Serving, notifier: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletters, "MAX_LETTERS", 2)
    for number, (subject, code) in enumerate(
        [
            ("events.shop.order.1", "unroutable"),
            ("events.shop.order.2", "not_json"),
            ("events.bank.loan.3", "not_json"),
            ("events.shop.cart.4", "not_json"),
        ]
    ):
        await put_aside(notifier, number, subject=subject, code=code)

    async def found(**wanted: Any) -> list[int]:
        return [letter["sequence"] for letter in await letters(router, **wanted)]

    assert await found(code="not_json") == [2, 3, 4]
    assert await found(code="not_json", limit=1, after=2) == [3]
    assert await found(subject="events.shop.>") == [1, 2, 4]
    assert await found(subject="events.*.order.*", code="not_json") == [2]
    assert await found(subject="events.shop") == []


async def test_one_is_shown_alone(router: Serving, notifier: Connection) -> None:
    await put_aside(notifier, 7)
    assert (await router.http.get("/v1/dlq/1")).json()["data"] == '{"n":7}'
    assert_problem(await router.http.get("/v1/dlq/2"), 410, 111, "unrecoverable")


async def test_a_replayed_event_is_published_as_it_came_and_its_letter_is_gone(
    router: Serving, notifier: Connection, connect: Connect
) -> None:
    await put_aside(notifier, 7)
    reply = await router.http.post("/v1/dlq/1/replay")
    assert reply.json() == {"event_sequence": 1, "repeated": False}
    [event] = await events(connect)
    assert subjects.event_subject_of_stored(event.subject) == "events.shop.order.7"
    assert (event.payload, publishers(event)) == (b'{"n":7}', {"ce-id": "e7", "ce-type": "order.shipped"})
    assert await letters(router) == []
    assert_problem(await router.http.post("/v1/dlq/1/replay"), 410, 111, "unrecoverable")


async def test_a_replay_that_was_cut_short_publishes_nothing_twice(
    router: Serving, notifier: Connection, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router died after it had published, so long ago that the stream has forgotten the id."""
    team = await connect("domain")
    await jetstream.publish(team, "events.shop.order.7", b'{"n":7}')
    await put_aside(notifier, 7, event_sequence=1)
    await jetstream.publish(team, "events.shop.order.7", b'{"other":1}')
    await jetstream.publish(team, "events.shop.order.7", b'{"n":7}', {publications.MSG_ID: "epoch-1-dlq-again"})
    await jetstream.publish(team, "events.shop.order.7", b'{"other":2}')

    async def forbidden(*_: object) -> None:
        raise AssertionError("published once more")

    monkeypatch.setattr(jetstream, "publish", forbidden)
    reply = await router.http.post("/v1/dlq/1/replay")
    assert reply.json() == {"event_sequence": 3, "repeated": True}
    assert await letters(router) == []


async def test_what_was_too_large_for_its_letter_is_replayed_from_the_events(
    router: Serving, notifier: Connection, connect: Connect
) -> None:
    team = await connect("domain")
    for number in range(2):
        await jetstream.publish(team, "events.shop.order.7", b"%d" % number, {"ce-id": f"e{number}"})
    await put_aside(notifier, 7, payload=b"", event_sequence=1)
    assert (await router.http.post("/v1/dlq/1/replay")).json() == {"event_sequence": 3, "repeated": False}
    again = (await events(connect))[-1]
    assert (again.payload, publishers(again)) == (b"0", {"ce-id": "e0"})


async def test_what_is_nowhere_any_more_cannot_be_replayed_and_stays(router: Serving, notifier: Connection) -> None:
    await put_aside(notifier, 7, payload=b"")
    reply = await router.http.post("/v1/dlq/1/replay")
    assert_problem(reply, 410, 111, "unrecoverable")
    assert "not kept any more" in reply.json()["detail"]
    assert len(await letters(router)) == 1


async def test_a_dropped_letter_is_gone_and_dropping_it_again_is_fine(router: Serving, notifier: Connection) -> None:
    for number in range(3):
        await put_aside(notifier, number)
    for _ in range(2):
        assert (await router.http.delete("/v1/dlq/2")).status_code == 204
    assert (await router.http.delete("/v1/dlq/99")).status_code == 204
    assert [json.loads(letter["data"])["n"] for letter in await letters(router)] == [0, 2]
