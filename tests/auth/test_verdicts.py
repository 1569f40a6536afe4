"""Verdicts are remembered, within bounds and never beyond expiry."""

from tests.auth.forge import KEYS, NOW, token
from whimbrel.auth.core.verdicts import Verdicts


def test_a_token_is_verified_once() -> None:
    verdicts = Verdicts(KEYS)
    text = token()
    first = verdicts.judge(text, now=NOW)
    assert verdicts.judge(text, now=NOW + 10) is first
    assert verdicts.hits == 1


def test_a_remembered_token_expires_when_it_would_have() -> None:
    verdicts = Verdicts(KEYS)
    text = token(exp=int(NOW) + 60)
    assert verdicts.judge(text, now=NOW).code == "ok"
    assert verdicts.judge(text, now=NOW + 60).code == "token_expired"
    assert len(verdicts) == 0


def test_refusals_are_not_remembered() -> None:
    verdicts = Verdicts(KEYS)
    assert verdicts.judge("garbage", now=NOW).code == "unauthorized"
    assert verdicts.judge("\ud800", now=NOW).code == "unauthorized"
    assert len(verdicts) == 0


def test_the_token_that_was_not_seen_for_longest_is_forgotten_first() -> None:
    a, b, c = token("shop", sub="a"), token("shop", sub="b"), token("shop", sub="c")
    verdicts = Verdicts(KEYS, max_chars=2 * len(a))
    for text in (a, b, a, c):
        verdicts.judge(text, now=NOW)
    assert len(verdicts) == 2
    verdicts.judge(a, now=NOW)
    assert verdicts.hits == 2
    verdicts.judge(b, now=NOW)
    assert verdicts.hits == 2


def test_long_tokens_take_the_room_of_several_short_ones() -> None:
    short = [token("shop", sub=f"u{number}") for number in range(10)]
    long = token("shop", sub="u", padding="x" * 5 * len(short[0]))
    verdicts = Verdicts(KEYS, max_chars=10 * len(short[0]))
    for text in (*short, long):
        verdicts.judge(text, now=NOW)
    assert 1 < len(verdicts) < 5
    verdicts.judge(token("shop", padding="x" * 5000), now=NOW)
    assert len(verdicts) == 0
