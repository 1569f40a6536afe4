"""Verdicts are remembered, within bounds and never beyond expiry."""

from tests.auth.forge import KEYS, NOW, token
from whimbrel.auth.core.tokens import LEEWAY_S
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
    assert verdicts.judge(text, now=NOW + 60 + LEEWAY_S).code == "token_expired"
    assert len(verdicts) == 0


def test_refusals_are_not_remembered() -> None:
    verdicts = Verdicts(KEYS)
    assert verdicts.judge("garbage", now=NOW).code == "unauthorized"
    assert verdicts.judge("\ud800", now=NOW).code == "unauthorized"
    assert len(verdicts) == 0


def test_the_token_that_was_not_seen_for_longest_is_forgotten_first() -> None:
    verdicts = Verdicts(KEYS, size=2)
    a, b, c = token(sub="a"), token(sub="b"), token(sub="c")
    for text in (a, b, a, c):
        verdicts.judge(text, now=NOW)
    assert len(verdicts) == 2
    verdicts.judge(a, now=NOW)
    assert verdicts.hits == 2
    verdicts.judge(b, now=NOW)
    assert verdicts.hits == 2
