"""A short run of the fuzzer; ``python -m tests.fuzz`` is the long one."""

import itertools

import pytest

from tests.fuzz.fuzzing import Campaign
from tests.fuzz.mutations import Mutations
from tests.fuzz.parsers import PARSERS

INPUTS = 1000  # of each parser: 0.1 s


@pytest.mark.parametrize("parser", PARSERS)
def test_spoilt_inputs_are_read_or_refused_and_nothing_else(parser: str) -> None:
    campaign = Campaign(1, only=parser)
    assert list(campaign.run(INPUTS)) == []
    tally = campaign.tallies[parser]
    assert 0 < tally.taken < tally.inputs, "some of each, or the fuzzing reaches nothing"


@pytest.mark.parametrize("parser", PARSERS)
def test_every_example_is_taken_or_refused_without_mutation(parser: str) -> None:
    for example in PARSERS[parser].examples:
        PARSERS[parser].read(example)


def test_a_seed_gives_the_same_inputs_again() -> None:
    def inputs(seed: str) -> list[bytes]:
        mutations = Mutations([b"one", b"two"], [b"word"], seed)
        return [mutations.next() for _ in range(100)]

    assert inputs("1") == inputs("1") != inputs("2")
    assert len(set(inputs("1"))) > 50


def test_a_parser_that_breaks_is_told_of_with_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> bool:
        raise ZeroDivisionError

    monkeypatch.setitem(PARSERS, "broken", PARSERS["channels"]._replace(read=broken))
    [failure] = itertools.islice(Campaign(1, only="broken").run(10), 1)
    assert (failure.parser, type(failure.error)) == ("broken", ZeroDivisionError)
