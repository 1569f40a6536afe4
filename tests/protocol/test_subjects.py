"""Patterns of subjects, as people write them."""

import pytest

from whimbrel.protocol import subjects


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("events.shop.order.42", True),
        ("events.*.order.*", True),
        ("events.>", True),
        ("events.shop.order.>", True),
        ("events.shop.order.42.>", False),
        ("events.shop", False),
        ("events.shop.order", False),
        ("events.*", False),
        ("events.bank.>", False),
        (">", True),
    ],
)
def test_a_pattern_covers_what_nats_would_deliver(pattern: str, covered: bool) -> None:
    assert subjects.matches("events.shop.order.42", pattern) is covered
