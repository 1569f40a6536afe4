"""What the page says of the runs is what came out of them."""

import json

from tests.faults.page import OUTCOME, PAGE, page


def test_the_page_says_what_came_out() -> None:
    text = PAGE.read_text()
    assert page(text, json.loads(OUTCOME.read_text())) == text, "run python -m tests.faults.page"
