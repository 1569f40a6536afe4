"""One timer wheel for all deadlines of a pod."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from whimbrel.edge.core.heartbeat import Slot, TimerWheel


class Egg:
    """Something that is due at some time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.slot: Slot | None = None

    def __repr__(self) -> str:
        return self.name


class Wheel(TimerWheel[Egg]):
    """A wheel of eggs by their names."""

    def __init__(self, *, now: float, tick: float) -> None:
        super().__init__(now=now, tick=tick)
        self.eggs: defaultdict[str, Egg] = defaultdict(lambda: Egg(""))

    def put(self, name: str, at: float) -> None:
        self.schedule(self.egg(name), at)

    def pull(self, name: str, at: float) -> None:
        self.bring_forward(self.egg(name), at)

    def egg(self, name: str) -> Egg:
        egg = self.eggs[name]
        egg.name = name
        return egg

    def taken(self, *, now: float) -> list[str]:
        return [egg.name for egg in self.due(now=now)]


def a_wheel(*, tick: float = 1.0) -> Wheel:
    return Wheel(now=100.0, tick=tick)


def test_an_item_comes_up_at_its_time_once() -> None:
    wheel = a_wheel()
    wheel.put("a", 110)
    assert wheel.taken(now=109.9) == []
    assert wheel.taken(now=110) == ["a"]
    assert wheel.taken(now=200) == []
    assert len(wheel) == 0


def test_an_item_scheduled_again_comes_up_at_the_new_time_only() -> None:
    wheel = a_wheel()
    wheel.put("a", 110)
    wheel.put("a", 105)
    wheel.put("b", 105)
    wheel.put("b", 120)
    assert len(wheel) == 2
    assert wheel.taken(now=115) == ["a"]
    assert wheel.taken(now=120) == ["b"]


def test_a_time_in_the_past_is_the_next_tick() -> None:
    wheel = a_wheel()
    wheel.put("a", 50)
    assert wheel.taken(now=100) == []
    assert wheel.taken(now=101) == ["a"]


def test_what_is_brought_forward_stays_where_it_would_come_up_earlier() -> None:
    wheel = a_wheel()
    wheel.pull("a", 110)
    wheel.pull("a", 120)
    wheel.pull("b", 120)
    wheel.pull("b", 109.5)
    assert wheel.taken(now=109.9) == []
    assert sorted(wheel.taken(now=110)) == ["a", "b"]
    assert wheel.taken(now=200) == []


def test_who_is_discarded_does_not_come_up() -> None:
    wheel = a_wheel()
    wheel.put("a", 110)
    wheel.discard(wheel.egg("a"))
    wheel.discard(wheel.egg("nobody"))
    assert wheel.taken(now=200) == []


def test_a_loop_that_stood_still_gets_all_that_came_due_in_order() -> None:
    wheel = a_wheel()
    for at in (130, 110, 120):
        wheel.put(f"at {at}", at)
    assert wheel.taken(now=10_000) == ["at 110", "at 120", "at 130"]


def test_a_finer_wheel_is_more_punctual() -> None:
    wheel = a_wheel(tick=0.05)
    wheel.put("a", 100.12)
    assert wheel.taken(now=100.1) == []
    assert wheel.taken(now=100.16) == ["a"]


def test_who_waits_until_the_next_turn_takes_what_is_due_on_time() -> None:
    wheel = a_wheel(tick=0.5)
    wheel.put("a", 100.4)
    assert wheel.until_turn(now=100.25) == 0.25
    assert wheel.taken(now=100.5) == ["a"]
    assert wheel.until_turn(now=100.5) == 0.5


def test_nothing_is_kept_of_what_has_passed() -> None:
    wheel = a_wheel()
    for at in range(101, 1000):
        wheel.put("a", at)
    wheel.taken(now=2000)
    assert wheel._slots == {}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 300)), max_size=30),
    st.lists(st.floats(0, 20), max_size=20),
)
def test_nobody_comes_early_or_more_than_a_tick_late(plans: list[tuple[str, float]], steps: list[float]) -> None:
    wheel = a_wheel()
    wanted: dict[str, float] = {}
    now = 100.0
    for item, at in plans:
        wheel.put(item, at)
        wanted[item] = max(at, now)
    for step in steps:
        now += step
        for item in wheel.taken(now=now):
            assert wanted.pop(item) <= now
        assert all(now < at + 1 for at in wanted.values())
