"""How often a polling client asks."""

from collections.abc import Sequence

from whimbrel.client.core.polling import Pace, Poll
from whimbrel.client.core.timing import Timing
from whimbrel.protocol.bodies import PollReply
from whimbrel.protocol.frames import Heartbeat, Policy, PollAdvice

TIMING = Timing(poll_wait_s=25, poll_rest_s=0.5, backoff_cap_s=20)
NOTHING = PollReply(frames=(), channels={})


def a_policy(transports: Sequence[str], interval: float) -> Policy:
    advice = PollAdvice(interval=interval)
    return Policy.model_validate({"transports": transports, "heartbeat": Heartbeat(ping=25, pong=10), "poll": advice})


def a_pace(jitter: float = 0.5) -> Pace:
    return Pace(TIMING, lambda: jitter)


def asks(pace: Pace) -> Poll:
    return pace.next({}, up=True, now=100)


def test_the_edge_holds_a_poll_and_the_next_one_follows_at_once() -> None:
    pace = a_pace()
    assert pace.next({}, up=False, now=100) == Poll({}, wait_s=0, rest_s=0, at=100), "the first is the test"
    assert asks(pace) == Poll({}, wait_s=25, rest_s=0, at=100)
    pace.answered(asks(pace), NOTHING, 125)
    assert asks(pace) == Poll({}, wait_s=25, rest_s=0, at=100)


def test_an_edge_that_holds_nothing_is_asked_less_and_less() -> None:
    pace, rests = a_pace(), []
    for _ in range(9):
        poll = asks(pace)
        rests.append(poll.rest_s)
        pace.answered(poll, NOTHING, 100.1 + poll.rest_s)
    assert rests == [0, 0, 0.5, 1, 2, 4, 8, 16, 20]


def test_an_edge_that_wants_to_be_polled_is_polled_at_its_interval() -> None:
    pace = a_pace()
    pace.advised(a_policy(["poll"], 15))
    assert asks(pace) == Poll({}, wait_s=0, rest_s=15, at=100)
    pace.answered(asks(pace), NOTHING, 115)
    assert asks(pace) == Poll({}, wait_s=0, rest_s=15, at=100)
    pace.advised(a_policy(["websocket", "poll"], 5))
    assert asks(pace) == Poll({}, wait_s=25, rest_s=0, at=100), "held again: it polls for want of anything better"


def test_who_was_told_to_poll_asks_soon_whether_that_is_over() -> None:
    pace = a_pace()
    assert pace.advice_s() == TIMING.advice_s
    pace.advised(a_policy(["poll"], 15))
    assert pace.advice_s() == 60
    pace.advised(a_policy(["poll"], 3600))
    assert pace.advice_s() == TIMING.advice_s


def test_who_was_told_together_does_not_ask_together() -> None:
    rests = []
    for jitter in (0.0, 0.25, 0.999):
        pace = a_pace(jitter)
        pace.advised(a_policy(["poll", "websocket"], 10))
        rests.append(round(asks(pace).rest_s, 1))
    assert rests == [8, 9, 12]
