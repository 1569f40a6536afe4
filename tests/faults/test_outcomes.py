"""When all went well: every run was good, and no bug went unsought."""

import pytest

from tests.faults.outcomes import BROKEN, GOOD, LATE, Hunt, Run, Totals


def a_run(verdict: str) -> Run:
    return Run(1, [], 100, 200, 10, 0, 0.5, 3.0, verdict)


FOUND = Hunt("drop", 2, 4000, "8 never came")


@pytest.mark.parametrize(
    ("verdict", "hunts", "well"),
    [
        (GOOD, [FOUND], True),
        (BROKEN, [FOUND], False),
        (LATE, [FOUND], False),
        (GOOD, [], False),
        (GOOD, [Hunt("drop", 0, 40_000, "")], False),
    ],
)
def test_all_is_well_if_every_run_was_good_and_each_bug_found(verdict: str, hunts: list[Hunt], well: bool) -> None:
    assert Totals([a_run(verdict)], hunts).well(["drop"]) is well
