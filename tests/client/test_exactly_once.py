"""Whatever the network does, the application hears each publication once and in order, or is told that it cannot."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.world import World, judge
from whimbrel.client import Reset, State
from whimbrel.client.core.transports import Preference
from whimbrel.client.events import Transport

Step = Callable[[World], None]

which = st.integers(0, 1)  # at most two links exist
ordinary: st.SearchStrategy[Step] = st.one_of(
    st.just(World.publish),
    st.just(World.publish),
    st.just(World.take),
    st.just(World.wait),
    which.map(lambda number: lambda world: world.open(number)),
    which.map(lambda number: lambda world: world.hear(number)),
    which.map(lambda number: lambda world: world.hear(number)),
)
bad: st.SearchStrategy[Step] = st.one_of(
    which.map(lambda number: lambda world: world.lose(number)),
    which.map(lambda number: lambda world: world.repeat(number)),
    which.map(lambda number: lambda world: world.cut(number)),
    st.sampled_from(["websocket", "sse", "poll"]).map(lambda best: lambda world: world.advise(best)),
)
worst: st.SearchStrategy[Step] = st.one_of(
    st.just(World.forget), st.just(World.rebuild), st.just(lambda world: world.publish(visible=False))
)
preferences: st.SearchStrategy[Preference] = st.sampled_from(["auto", "websocket", "sse", "poll"])


@settings(max_examples=500)
@given(
    preference=preferences,
    capacity=st.sampled_from([1, 3, 1000]),
    steps=st.lists(st.one_of(ordinary, bad), min_size=30, max_size=100),
)
def test_losses_repeats_cuts_and_slow_reading_lose_nothing(
    preference: Preference, capacity: int, steps: list[Step]
) -> None:
    world = World(preference, capacity=capacity)
    for step in steps:
        step(world)
    world.settle()
    assert world.session.state is State.CONNECTED
    judge(world)
    assert len(world.heard) >= len(world.published)  # nothing was forgotten, so nothing may be left to a reset


@pytest.mark.parametrize("transport", ["sse", "poll", "websocket"])
def test_an_answer_from_before_a_reset_does_not_lead_back(transport: Transport) -> None:
    world = World("poll" if transport == "websocket" else "auto")
    for _ in range(12):
        world.publish()
    world.advise(transport)
    world.open(1)  # the next link asks from here …
    world.hear(0)
    world.rebuild()
    for _ in range(20):
        world.hear(0)  # … and the one in use tells the reset first
    for _ in range(3):
        world.publish()
    world.settle()
    judge(world)
    assert len([event for event in world.heard if isinstance(event, Reset)]) == 1


@settings(max_examples=500)
@given(preference=preferences, steps=st.lists(st.one_of(ordinary, bad, worst), min_size=30, max_size=100))
def test_what_the_stream_has_forgotten_is_told_by_a_reset(preference: Preference, steps: list[Step]) -> None:
    world = World(preference)
    for step in steps:
        step(world)
    world.settle()
    judge(world)
