"""Polls and the channels of groups, which nobody asks for."""

import pytest

from tests.edge.edges import Edge
from tests.edge.neighbours import a_name
from tests.edge.peers import poll
from tests.edge.pollers import positions, waiting, waiting_in

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_answer_tells_of_a_group_that_the_client_does_not_know_yet_and_what_came_since(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("vip"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user), await edge.wire()
    channels = await positions(wire, token, order)
    assert set(channels) == {order}
    await edge.neighbours.join(user, group)
    await edge.in_group(user, group)
    wire.send(poll(token, channels, wait=20))
    await waiting_in(edge, f"group:{group}")
    await edge.neighbours.publish(f"group:{group}", "member")
    answer = (await wire.answer()).json
    assert [(frame["type"], frame["channel"]) for frame in answer["frames"]] == [
        ("subscribed", f"group:{group}"),
        ("publication", f"group:{group}"),
    ]
    assert set(answer["channels"]) == {order, f"group:{group}"}


async def test_a_poll_is_answered_when_its_user_joins_or_leaves_and_goes_on_from_there(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("vip"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user), await edge.wire()
    wire.send(poll(token, await positions(wire, token, order), wait=20))
    await waiting(edge)
    await edge.neighbours.join(user, group)
    joined = (await wire.answer()).json
    assert [(frame["type"], frame["channel"]) for frame in joined["frames"]] == [("subscribed", f"group:{group}")]
    await edge.neighbours.publish(f"group:{group}", "between two polls")
    wire.send(poll(token, joined["channels"], wait=20))
    received = (await wire.answer()).json
    assert [frame["data"] for frame in received["frames"]] == ["between two polls"]
    wire.send(poll(token, received["channels"], wait=20))
    await waiting(edge)
    await edge.neighbours.leave(user, group)
    left = (await wire.answer()).json
    assert [(frame["type"], frame["channel"], frame["code"]) for frame in left["frames"]] == [
        ("unsubscribed", f"group:{group}", 103)
    ]
    assert set(left["channels"]) == {order}


async def test_who_does_not_take_up_a_group_is_told_again_and_still_waits(edge: Edge) -> None:
    user, group, order = a_name("alice"), a_name("vip"), f"orders:{a_name('o')}"
    token, wire = edge.neighbours.token(user, groups=(group,)), await edge.wire()
    channels = {order: (await positions(wire, token, order))[order]}
    for number in range(2):
        wire.send(poll(token, channels, wait=20))
        await waiting_in(edge, order)
        await edge.neighbours.publish(order, number)
        answer = (await wire.answer()).json
        assert [frame["type"] for frame in answer["frames"]] == ["subscribed", "publication"]
        channels = {order: answer["channels"][order]}
