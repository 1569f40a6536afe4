"""What a run prints: medians, spreads, ratios, verdicts, and nothing invented where nothing was measured."""

import os
import re
import time

import pytest

from bench import page
from bench.machine import Machine
from bench.meter import Spread, cpu_ns, resident_bytes
from bench.report import Goal, Row, at_least, at_most, table, times_floor
from bench.run import Run

MACHINE = Machine(cores=2, processor="a processor", memory_gib=4, kernel="6.1", python="3.11.7", load=0.4, files=1024)


def test_a_figure_is_shown_with_its_spread() -> None:
    row = Row("broadcast", "µs", at_most(8), {"floor": Spread.of([5, 6, 7]), "whimbrel": Spread.of([0.5])})
    head, line, _ = table([row])
    assert re.split(" {2,}", line) == ["broadcast, µs", "≤ 8 met", "6.00 (5.00–7.00)", "0.50"]
    assert head.split() == ["WHAT", "GOAL", "FLOOR", "WHIMBREL"]


def test_a_figure_stands_over_the_others_of_its_round() -> None:
    row = Row("x", "µs", figures={"nchan": Spread.of([10, 20, 40]), "whimbrel": Spread.of([5, 20, 30])})
    assert row.ratios()["nchan"].rounds == (0.5, 1, 0.75)
    assert table([row])[2].split() == ["whimbrel", "÷", "it", "×", "0.75", "(0.50–1.00)"]


def test_where_the_rounds_differ_the_medians_are_compared() -> None:
    assert Spread.of([30]).over(Spread.of([10, 20])).rounds == (2,)


def test_there_is_no_column_for_whom_nobody_measured() -> None:
    assert "BUN" not in table([Row("x", "µs", figures={"whimbrel": Spread.of([1])})])[0]


def test_what_goes_with_a_figure_stands_below_it() -> None:
    row = Row("unicast", "µs", figures={"whimbrel": Spread.of([50])}, beside={"nats": Spread.of([1234.5])})
    assert table([row])[2] == "    beside it: nats 1,234"


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (at_most(10), True),
        (at_most(9.9), False),
        (at_least(10), True),
        (at_least(10.1), False),
        (times_floor(1.25), True),
        (times_floor(1.2), False),
    ],
    ids=str,
)
def test_a_goal_is_met_or_missed_by_the_median(goal: Goal, met: bool) -> None:
    figures = {"floor": Spread.of([8, 8, 8]), "whimbrel": Spread.of([9, 10, 90])}
    assert Row("x", "µs", goal, figures).met is met


def test_a_goal_is_neither_met_nor_missed_where_nothing_was_measured() -> None:
    assert Row("x", "µs", times_floor(1.1), {"whimbrel": Spread.of([1])}).met is None
    assert Row("x", "µs", at_most(1), {"floor": Spread.of([1])}).met is None


def test_a_run_says_whether_others_had_to_wait() -> None:
    run = Run(MACHINE, [], rounds=3, seconds=1, others_cores=1.5, peers={}, broken={}, ahead=True)
    assert run.record()["ahead"] is True
    assert "others took 1.50 cores meanwhile, behind us" in str(run)


@pytest.mark.parametrize(("load", "others", "busy"), [(0.4, 0.1, False), (1.6, 0.1, True), (0.4, 0.3, True)])
def test_a_run_says_whether_others_worked_here(load: float, others: float, busy: bool) -> None:
    machine = Machine(**{**MACHINE.record(), "load": load})
    run = Run(machine, [], rounds=3, seconds=1, others_cores=others, peers={}, broken={})
    assert run.record()["busy"] is busy
    assert ("BUSY" in str(run)) is busy


def test_a_run_for_machines_has_every_round() -> None:
    figures = {"naive": Spread.of([30, 20, 25]), "whimbrel": Spread.of([5, 4, 6])}
    run = Run(MACHINE, [Row("idle", "KiB", at_most(4), figures)], 3, 61.23, 0.123, {"bun": "1.4.5"}, {}).record()
    assert (run["seconds"], run["others_cores"], run["peers"]) == (61.2, 0.12, {"bun": "1.4.5"})
    assert run["rows"] == [
        {
            "name": "idle",
            "unit": "KiB",
            "goal": "≤ 4",
            "met": False,
            "figures": {
                "naive": {"median": 25, "rounds": [30, 20, 25]},
                "whimbrel": {"median": 5, "rounds": [5, 4, 6]},
            },
            "ratios": {"naive": {"median": 0.2, "rounds": [0.167, 0.2, 0.24]}},
            "beside": {},
        }
    ]


def test_a_part_that_broke_has_a_reason_instead_of_figures() -> None:
    run = Run(MACHINE, [], 3, 1, 0, {}, {"polling": "floor: 1 missing"})
    assert run.record()["broken"] == {"polling": "floor: 1 missing"}
    assert str(run).endswith("no figures of polling: floor: 1 missing")


def test_the_page_and_its_plot_say_what_the_recorded_runs_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main(["--check"]) == 0, capsys.readouterr().err


def test_clients_are_as_many_as_the_machine_lets_a_process_open() -> None:
    assert MACHINE.clients(10_000) == 824
    assert MACHINE.clients(500) == 500


def test_the_meter_reads_the_clock_of_a_process() -> None:
    before, ours = cpu_ns(os.getpid()), time.process_time_ns()
    sum(range(200_000))
    used, ours = cpu_ns(os.getpid()) - before, time.process_time_ns() - ours
    assert ours <= used * 1.5
    assert used > 0
    assert resident_bytes(os.getpid()) > 5_000_000
