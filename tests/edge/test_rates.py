"""How often something may be done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.edge.core.rates import Ledger, TokenBucket


def test_a_burst_passes_then_the_rate_counts() -> None:
    bucket = TokenBucket(8.0, 3.0)
    assert [bucket.take(now=5.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(now=5.0) == 0.125
    assert bucket.take(now=5.0625) == 0.0625
    assert bucket.take(now=5.125) == 0.0
    assert bucket.take(now=5.125) == 0.125


def test_who_is_refused_loses_nothing_by_asking() -> None:
    bucket = TokenBucket(1.0, 1.0)
    bucket.take(now=0.0)
    for _ in range(100):
        assert bucket.take(now=0.5) > 0
    assert bucket.take(now=1.0) == 0.0


def test_silence_saves_up_no_more_than_a_burst() -> None:
    bucket = TokenBucket(10.0, 3.0)
    bucket.take(now=0.0)
    assert [bucket.take(now=1000.0) == 0.0 for _ in range(4)] == [True, True, True, False]


def test_each_party_has_a_rate_of_its_own() -> None:
    ledger = Ledger(8.0, 2.0)
    assert [ledger.take("alice", now=5.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(0.125)]
    assert ledger.take("bob", now=5.0) == 0.0
    assert ledger.take("alice", now=5.125) == 0.0


def test_a_flood_of_parties_is_bounded_and_forgives_who_took_longest_ago() -> None:
    ledger = Ledger(1.0, 1.0, parties=100)
    assert all(ledger.take(f"party {number}", now=5.0) == 0.0 for number in range(10_000))
    assert len(ledger) == 100
    assert ledger.take("party 9999", now=5.0) > 0
    assert ledger.take("party 0", now=5.0) == 0.0


def test_who_has_paid_is_forgotten() -> None:
    ledger = Ledger(10.0, 10.0)
    for number in range(500):
        ledger.take(f"party {number}", now=5.0)
    ledger.take("one more", now=6.0)
    assert len(ledger) == 1


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=60),
    st.floats(0.1, 50),
    st.integers(1, 20),
)
def test_nobody_gets_more_than_the_rate_and_a_burst_nor_waits_longer_than_told(
    steps: list[tuple[str, float]], rate: float, burst: int
) -> None:
    ledger, alone = Ledger(rate, burst), {"a": TokenBucket(rate, burst), "b": TokenBucket(rate, burst)}
    now, taken = 10.0, {"a": 0, "b": 0}
    for party, pause in steps:
        now += pause
        wait = ledger.take(party, now=now)
        assert wait == pytest.approx(alone[party].take(now=now), abs=1e-6)
        if wait:
            now += wait + 1e-6
            assert ledger.take(party, now=now) == 0.0
            alone[party].take(now=now)
        taken[party] += 1
        assert taken[party] <= burst + rate * (now - 10.0) + 1e-3
