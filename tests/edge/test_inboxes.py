"""An inbox asked for over HTTP and as a frame, and what of it reaches a device that was away: on a real bus."""

import json
from typing import Any

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import Answer, commands, get_stream, poll, request
from whimbrel.edge.shell import readmarks
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import inbox_of
from whimbrel.protocol.limits import RETAINED_PER_CHANNEL
from whimbrel.protocol.publications import WITHDRAWN, encode_body
from whimbrel.runtime import jetstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG_AGO = "2026-01-01T00:00:00.000Z"
IN_A_CENTURY = "2126-01-01T00:00:00.000Z"


async def message(edge: Edge, user: str, data: Any, **fields: Any) -> int:
    """Publish into an inbox what the notifier would; return its offset, once the edge can tell of it."""
    body = encode_body("note", fields.pop("event_id", a_name("e")), "t", json.dumps(data).encode(), **fields)
    return await into_inbox(edge, user, body)


async def withdrawal(edge: Edge, user: str, **named: str) -> int:
    return await into_inbox(edge, user, encode_body(WITHDRAWN, a_name("e"), "t", json.dumps(named).encode()))


async def into_inbox(edge: Edge, user: str, body: bytes) -> int:
    inbox = inbox_of(user)
    ack = await jetstream.publish(edge.neighbours.notifier, subjects.publish_subject(inbox), body)
    await edge.heard(inbox, ack.seq)
    return ack.seq


async def get(edge: Edge, token: str, query: str = "") -> Answer:
    return await edge.ask(request("GET", f"/v1/inbox{query}", authorization=f"Bearer {token}"))


def data(answer: dict[str, Any]) -> list[Any]:
    return [each["data"] for each in answer["publications"]]


async def test_count_and_list_are_the_same_over_http_as_a_frame_and_as_a_command(edge: Edge) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user)
    offsets = [await message(edge, user, number) for number in range(3)]
    alice = await edge.session(user)
    await alice.ask("ack", channel="inbox", offset=offsets[0])
    over_http = (await get(edge, token, "?unread=true")).json
    assert (over_http["read"], over_http["unread"], over_http["complete"], data(over_http)) == (
        offsets[0],
        2,
        True,
        [1, 2],
    )
    as_a_frame = await alice.ask("inbox", unread=True)
    assert {**as_a_frame, **over_http} == as_a_frame
    [as_a_command] = (await edge.ask(commands(token, {"type": "inbox", "id": 7, "unread": True}))).json["frames"]
    assert {**as_a_command, "id": as_a_frame["id"]} == as_a_frame
    assert data((await get(edge, token)).json) == [0, 1, 2]
    assert data((await get(edge, token, f"?limit=1&before={offsets[2]}")).json) == [1]
    assert (await get(edge, token, "?limit=0")).json["unread"] == 2


async def test_an_inbox_of_nobody_else_can_be_asked_for(edge: Edge) -> None:
    user = a_name("alice")
    await message(edge, user, "for alice")
    assert data((await get(edge, edge.neighbours.token(a_name("bob")))).json) == []


@pytest.mark.parametrize(
    "query", ["?limit=201", "?limit=-1", "?limit=x", "?before=-1", "?before=9007199254740992", "?unread=perhaps"]
)
async def test_what_cannot_be_meant_is_answered_400_with_its_place(edge: Edge, query: str) -> None:
    answer = await get(edge, edge.neighbours.token(a_name("alice")), query)
    assert (answer.status, answer.json["code"]) == (400, 107)
    assert query[1:].partition("=")[0] in answer.json["detail"]


@pytest.mark.parametrize(
    "wrong", [{"limit": 201}, {"limit": -1}, {"before": -1}, {"unread": "yes"}, {"unread": 1}, {"limit": "5"}]
)
async def test_a_frame_that_cannot_be_meant_is_refused_and_the_connection_lives_on(
    edge: Edge, wrong: dict[str, Any]
) -> None:
    alice = await edge.session(a_name("alice"))
    refused = await alice.ask("inbox", **wrong)
    assert (refused["type"], refused["code"]) == ("error", 107)
    assert next(iter(wrong)) in refused["message"]
    assert (await alice.ask("inbox"))["type"] == "ok"


async def test_who_has_no_token_is_answered_401(edge: Edge) -> None:
    assert (await edge.ask(request("GET", "/v1/inbox"))).status == 401


async def missed(edge: Edge, user: str) -> dict[str, int]:
    """Have happen what a device of ``user`` misses."""
    return {
        "old": await message(edge, user, "old", topic="shop:order-1"),
        "false": await message(edge, user, "false", event_id="e-false"),
        "over": await message(edge, user, "over", expires=LONG_AGO),
        "plain": await message(edge, user, "plain", expires=IN_A_CENTURY),
        "new": await message(edge, user, "new", topic="shop:order-1"),
        "withdrawal": await withdrawal(edge, user, event_id="e-false"),
        "last": await message(edge, user, "last", expires=LONG_AGO),
    }


EXPECTED = ["plain", "new", {"event_id": "e-false"}]


async def a_position(edge: Edge, user: str) -> dict[str, Any]:
    """Return where a device stands that has seen one message."""
    alice = await edge.socket()
    await message(edge, user, "seen")
    connected = await alice.ask("connect", token=edge.neighbours.token(user))
    inbox = connected["channels"]["inbox"]
    return {"epoch": inbox["epoch"], "offset": inbox["publications"][-1]["offset"]}


@pytest.mark.parametrize("fresh", [False, True], ids=["from the ring", "from the stream"])
async def test_a_device_on_a_socket_gets_only_what_still_holds(edge: Edge, fresh: bool) -> None:
    user = a_name("alice")
    position = await a_position(edge, user)
    offsets = await missed(edge, user)
    if fresh:
        async with an_edge(edge.neighbours) as other:
            await back_on_a_socket(other, user, position, offsets)
    else:
        await back_on_a_socket(edge, user, position, offsets)


async def back_on_a_socket(edge: Edge, user: str, position: dict[str, Any], offsets: dict[str, int]) -> None:
    alice = await edge.socket()
    connected = await alice.ask("connect", token=edge.neighbours.token(user), channels={"inbox": position})
    inbox = connected["channels"]["inbox"]
    assert (inbox["recovered"], data(inbox)) == (True, EXPECTED)
    told = await alice.hear()
    expected = {"type": "position", "channel": "inbox", "offset": offsets["last"], "prev": offsets["withdrawal"]}
    assert told == expected
    await message(edge, user, "next")
    following = await alice.hear()
    assert (following["data"], following["prev"]) == ("next", offsets["last"]), "no gap"


async def test_a_stream_of_events_gets_only_what_still_holds(edge: Edge) -> None:
    user = a_name("alice")
    await missed(edge, user)
    stream = await edge.stream(get_stream(edge.neighbours.token(user)))
    assert data((await stream.hear())["channels"]["inbox"]) == EXPECTED
    assert (await stream.hear())["type"] == "position"
    cursor = stream.cursor
    await message(edge, user, "next")
    again = await edge.stream(get_stream(edge.neighbours.token(user), last_event_id=cursor))
    assert data((await again.hear())["channels"]["inbox"]) == ["next"]


async def test_a_poll_gets_only_what_still_holds_and_stands_at_the_end(edge: Edge) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user)
    position = await a_position(edge, user)
    offsets = await missed(edge, user)
    answer = (await edge.ask(poll(token, {"inbox": position}))).json
    *publications, told = answer["frames"]
    assert [frame["data"] for frame in publications] == EXPECTED
    assert (told["type"], told["offset"], told["prev"]) == ("position", offsets["last"], offsets["withdrawal"])
    assert answer["channels"]["inbox"]["offset"] == offsets["last"]
    await message(edge, user, "next")
    answer = (await edge.ask(poll(token, answer["channels"]))).json
    assert [frame["data"] for frame in answer["frames"]] == ["next"]


async def test_who_only_missed_what_expired_is_told_where_the_end_is(edge: Edge) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user)
    position = await a_position(edge, user)
    last = await message(edge, user, "over", expires=LONG_AGO)
    answer = (await edge.ask(poll(token, {"inbox": position}))).json
    expected = {"type": "position", "channel": "inbox", "offset": last, "prev": position["offset"]}
    assert (answer["frames"], answer["channels"]["inbox"]["offset"]) == ([expected], last)
    assert (await edge.ask(poll(token, answer["channels"]))).json["frames"] == []


async def test_the_history_of_an_inbox_is_what_is_there_now(edge: Edge) -> None:
    user = a_name("alice")
    await missed(edge, user)
    alice = await edge.session(user)
    assert data(await alice.ask("history", channel="inbox")) == ["plain", "new"]
    assert data((await get(edge, edge.neighbours.token(user))).json) == ["plain", "new"]


async def test_what_is_told_beside_the_content_reaches_the_client(edge: Edge) -> None:
    user = a_name("alice")
    alice = await edge.session(user)
    await message(edge, user, 1, topic="shop:order-1", expires=IN_A_CENTURY)
    told = await alice.hear()
    assert (told["topic"], told["expires"], told["data"]) == ("shop:order-1", IN_A_CENTURY, 1)


async def test_a_full_inbox_keeps_the_newest_and_says_that_others_may_have_been_dropped(edge: Edge) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user)
    position = await a_position(edge, user)
    subject, last = subjects.publish_subject(inbox_of(user)), RETAINED_PER_CHANNEL + 4
    for number in range(last):
        edge.neighbours.notifier.send(subject, encode_body("note", f"e{number}", "t", b"%d" % number))
    last_offset = await message(edge, user, last)
    answer = (await get(edge, token, "?unread=true&limit=2")).json
    assert (answer["unread"], answer["complete"], data(answer)) == (RETAINED_PER_CHANNEL, False, [last - 1, last])
    alice = await edge.socket()
    connected = await alice.ask("connect", token=token, channels={"inbox": position})
    inbox = connected["channels"]["inbox"]
    assert (inbox["recovered"], inbox["publications"], inbox["offset"]) == (False, [], last_offset)
    await alice.ask("ack", channel="inbox", offset=answer["publications"][0]["offset"])
    answer = (await get(edge, token, "?unread=true")).json
    assert (answer["unread"], answer["complete"], data(answer)) == (1, True, [last])


async def test_an_ack_of_what_does_not_exist_is_refused_over_every_way(edge: Edge) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user)
    offset = await message(edge, user, "one")
    beyond = {"type": "ack", "id": 1, "channel": "inbox", "offset": 2**53 - 1}
    [refused] = (await edge.ask(commands(token, beyond))).json["frames"]
    assert (refused["type"], refused["code"]) == ("error", 107)
    assert "has not reached offset" in refused["message"]
    alice = await edge.session(user)
    assert (await alice.ask("ack", channel="inbox", offset=2**53 - 1))["code"] == 107
    assert (await get(edge, token)).json["unread"] == 1
    [acked] = (await edge.ask(commands(token, {**beyond, "offset": offset}))).json["frames"]
    assert acked == {"type": "ok", "id": 1, "offset": offset}
    assert (await get(edge, token)).json["unread"] == 0


async def test_a_pod_that_serves_another_device_knows_of_an_ack_before_it_is_written(
    neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readmarks, "WRITE_EVERY_S", 3600.0)  # the first is written at once, the others wait
    user = a_name("alice")
    async with an_edge(neighbours) as one, an_edge(neighbours) as other:
        offsets = [await message(one, user, number) for number in range(3)]
        phone, laptop = await one.session(user), await other.session(user)
        for number, offset in enumerate(offsets):
            await phone.ask("ack", channel="inbox", offset=offset)
            await eventually(lambda: one.pod.requests._marks.writes >= 1)
            acked = await laptop.until(lambda frame: frame["type"] == "acked")
            assert acked["offset"] == offset
            assert (await laptop.ask("inbox", limit=0))["unread"] == 2 - number
        assert one.pod.requests._marks.writes == 1
