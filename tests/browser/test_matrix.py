"""The table in the docs is the one that the command writes."""

from tests.browser.matrix import NOTHING, PAGE, rows, table


def test_the_table_in_the_docs_has_these_networks_and_winners_and_a_time_for_each() -> None:
    stated = table(PAGE.read_text())
    assert [row[:2] for row in stated] == [row[:2] for row in rows({})], "python -m tests.browser.matrix --write"
    assert all(NOTHING not in row[2] for row in stated)
