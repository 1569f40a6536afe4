"""When to try again, and when not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.notifier.core import retry
from whimbrel.notifier.core.errors import Reason
from whimbrel.notifier.core.retry import Backoff
from whimbrel.runtime.catalogue import DUPLICATE_WINDOW_S


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(base_s=0.2, cap_s=5.0)
    assert [backoff.ceiling_s(tries) for tries in range(1, 8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@given(tries=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_anything_up_to_its_ceiling(tries: int, chance: float) -> None:
    assert 0 <= retry.PUBLISH.wait_s(tries, chance=chance) <= retry.PUBLISH.ceiling_s(tries) <= 5.0


@pytest.mark.parametrize("err_code", [0, 503, 10008, 10023, 10047, 10077])
def test_what_may_mend_is_tried_for_ever(err_code: int) -> None:
    assert retry.permanent(err_code) is None


@pytest.mark.parametrize("err_code", [10054, 10097])
def test_what_is_too_large_stays_so(err_code: int) -> None:
    assert retry.permanent(err_code) is Reason.TOO_LARGE


def test_a_repeat_is_looked_up_well_before_the_streams_forget_it() -> None:
    assert retry.DUPLICATE_WINDOW_S + 4 * retry.PUBLISH_TIMEOUT_S < DUPLICATE_WINDOW_S
