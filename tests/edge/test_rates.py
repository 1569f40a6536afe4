"""Token buckets."""

from whimbrel.edge.core.rates import TokenBucket


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
