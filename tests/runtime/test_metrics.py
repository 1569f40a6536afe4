"""Plain numbers, read at scrape, in Prometheus' text format."""

import re

import pytest

from whimbrel.runtime.metrics import Doublings, Metrics


def exposed(metrics: Metrics, prefix: str) -> list[str]:
    return [line for line in metrics.exposition().decode().splitlines() if prefix in line]


def test_a_number_is_read_when_it_is_scraped() -> None:
    metrics = Metrics()
    count = 1
    metrics.counter("whimbrel_edge_frames_total", "Frames.", lambda: count)
    assert exposed(metrics, "frames")[2] == "whimbrel_edge_frames_total 1"
    count = 2
    assert exposed(metrics, "frames") == [
        "# HELP whimbrel_edge_frames_total Frames.",
        "# TYPE whimbrel_edge_frames_total counter",
        "whimbrel_edge_frames_total 2",
    ]


def test_label_values_are_escaped() -> None:
    metrics = Metrics()
    metrics.labelled("closes", "Closes.", "counter", ("code", "why"), lambda: {("4001", 'a"b\\c\nd'): 3})
    assert exposed(metrics, "closes{") == ['closes{code="4001",why="a\\"b\\\\c\\nd"} 3']


def test_a_histogram_counts_cumulatively() -> None:
    metrics = Metrics()
    latency = metrics.histogram("latency_seconds", "Latency.", [0.1, 0.01])
    for value in (0.005, 0.01, 0.05, 5):
        latency.observe(value)
    assert exposed(metrics, "latency_seconds")[2:] == [
        'latency_seconds_bucket{le="0.01"} 2',
        'latency_seconds_bucket{le="0.1"} 3',
        'latency_seconds_bucket{le="+Inf"} 4',
        "latency_seconds_sum 5.065",
        "latency_seconds_count 4",
    ]


def test_whole_numbers_are_counted_by_doublings() -> None:
    sizes = Doublings(3)
    for size in (1, 2, 3, 4, 7, 8, 1000):
        sizes.observe(size)
    assert sizes.bounds == (1, 3, 7)
    assert sizes.counts == [1, 2, 2, 2], "what is larger stands behind the last bound"
    assert sizes.total == 1025


def test_a_name_is_exposed_once() -> None:
    metrics = Metrics()
    metrics.gauge("sessions", "Sessions.", lambda: 0)
    with pytest.raises(ValueError, match="sessions is exposed already"):
        metrics.counter("sessions", "Sessions.", lambda: 0)


def test_the_process_tells_its_own_size_and_every_line_is_well_formed() -> None:
    text = Metrics().exposition().decode()
    assert re.search(r"^process_resident_memory_bytes [1-9]\d{6,}$", text, re.MULTILINE)
    assert re.search(r"^process_open_fds [1-9]\d*$", text, re.MULTILINE)
    line = re.compile(r"# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z_]+=\".*\"\})? [-+0-9.e]+")
    assert [each for each in text.splitlines() if not line.fullmatch(each)] == []
