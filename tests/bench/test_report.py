"""What a run prints: medians, spreads, and nothing invented where nothing was measured."""

import os
import re
import time

from bench.machine import Machine
from bench.meter import Spread, cpu_ns, resident_bytes
from bench.report import Row, record, table


def test_a_figure_is_shown_with_its_spread() -> None:
    row = Row("broadcast", "µs", "≤ 8", {"floor": Spread.of([5, 6, 7]), "whimbrel": Spread.of([0.5])})
    head, line = table([row])
    assert re.split(" {2,}", line) == ["broadcast, µs", "≤ 8", "6.0 (5.0–7.0)", "–", "0.50"]
    assert head.split() == ["WHAT", "GOAL", "FLOOR", "NAIVE", "WHIMBREL"]


def test_what_goes_with_a_figure_stands_below_it() -> None:
    row = Row("unicast", "µs", figures={"whimbrel": Spread.of([50])}, beside={"nats": Spread.of([1234.5])})
    assert table([row])[2] == "    beside it: nats 1,234"


def test_a_run_for_machines_says_whether_others_worked_here() -> None:
    machine = Machine(
        cores=2, processor="a processor", memory_gib=4, kernel="6.1", python="3.11.7", load=1.6, files=1024
    )
    run = record(machine, [Row("idle", "KiB", figures={"naive": Spread.of([30])})], rounds=3, seconds=61.23)
    assert run["machine"]["busy"] is True
    assert run["seconds"] == 61.2
    assert run["rows"] == [
        {
            "name": "idle",
            "unit": "KiB",
            "goal": "",
            "naive": {"median": 30, "least": 30, "most": 30},
            "beside": {},
        }
    ]


def test_clients_are_as_many_as_the_machine_lets_a_process_open() -> None:
    machine = Machine(cores=2, processor="", memory_gib=4, kernel="", python="", load=0, files=1024)
    assert machine.clients(10_000) == 824
    assert machine.clients(500) == 500


def test_the_meter_reads_the_clock_of_a_process() -> None:
    before, ours = cpu_ns(os.getpid()), time.process_time_ns()
    sum(range(200_000))
    used, ours = cpu_ns(os.getpid()) - before, time.process_time_ns() - ours
    assert ours <= used * 1.5
    assert used > 0
    assert resident_bytes(os.getpid()) > 5_000_000
