"""The table in the docs is the one that the command writes; and what a machine without the programs is told."""

import pytest

from tests.browser.conftest import what_is_installed
from tests.browser.matrix import NOTHING, PAGE, rows, table
from tests.browser.networks import Program


def test_the_table_in_the_docs_has_these_networks_and_winners_and_a_time_for_each() -> None:
    stated = table(PAGE.read_text())
    assert [row[:2] for row in stated] == [row[:2] for row in rows({})], "python -m tests.browser.matrix --write"
    assert all(NOTHING not in row[2] for row in stated)


@pytest.mark.parametrize("place", ["a developer's machine", "CI"])
def test_a_missing_program_is_named_with_what_to_install_and_never_skipped_in_ci(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    if place == "CI":
        monkeypatch.setenv("CI", "true")
    verdict = pytest.fail.Exception if place == "CI" else pytest.skip.Exception
    told = r"there is no squirt on this machine \(on Debian: apt-get install squid\)"
    with pytest.raises(verdict, match=told), what_is_installed():
        Program("squid", ("squirt",)).path()
