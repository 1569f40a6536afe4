"""Refresh tokens: rotation, reuse, lost responses."""

import json

from hypothesis import given
from hypothesis import strategies as st

from whimbrel.auth.core.families import (
    REFRESH_GRACE_S,
    Dead,
    Expired,
    Family,
    Presented,
    RefreshToken,
    Repeated,
    Reused,
    Rotated,
    begin,
    present,
)
from whimbrel.protocol.bodies import TokenRequest

NOW = 1_700_000_000.0
DAY = 86_400.0
ALICE = TokenRequest(user="alice", groups=("vip",), claims={})


def signed_in() -> tuple[Family, RefreshToken]:
    return begin(ALICE, handle=b"h" * 16, secret=b"s" * 32, now=NOW, lifetime=30 * DAY)


def refresh(family: Family, token: RefreshToken, *, after: float = 0, nonce: bytes = b"n" * 16) -> Presented:
    return present(family, token, nonce=nonce, now=NOW + after, lifetime=30 * DAY)


def rotated(family: Family, token: RefreshToken, *, after: float = 0, nonce: bytes = b"n" * 16) -> Rotated:
    outcome = refresh(family, token, after=after, nonce=nonce)
    assert isinstance(outcome, Rotated)
    return outcome


def test_a_refresh_rotates_the_token_and_keeps_the_grant() -> None:
    family, first = signed_in()
    outcome = rotated(family, first, after=60)
    assert outcome.token.handle == first.handle
    assert outcome.token.secret != first.secret
    assert outcome.family.grant == ALICE
    assert outcome.family.expires == NOW + 60 + 30 * DAY
    rotated(outcome.family, outcome.token, after=120)


def test_two_rotations_of_the_same_token_differ_by_their_nonce() -> None:
    family, first = signed_in()
    assert rotated(family, first, nonce=b"a" * 16).token != rotated(family, first, nonce=b"b" * 16).token


def test_a_lost_response_is_answered_again_with_the_same_token() -> None:
    family, first = signed_in()
    lost = rotated(family, first, after=60)
    again = refresh(lost.family, first, after=60 + REFRESH_GRACE_S - 0.1, nonce=b"m" * 16)
    assert again == Repeated(lost.family, lost.token)


def test_after_the_grace_the_token_before_counts_as_reused() -> None:
    family, first = signed_in()
    lost = rotated(family, first, after=60)
    outcome = refresh(lost.family, first, after=60 + REFRESH_GRACE_S)
    assert isinstance(outcome, Reused)
    assert outcome.family.revoked


def test_a_token_two_rotations_old_is_reuse_even_within_the_grace() -> None:
    family, first = signed_in()
    second = rotated(family, first)
    third = rotated(second.family, second.token)
    assert isinstance(refresh(third.family, first, after=1), Reused)


def test_a_reused_token_kills_the_newest_as_well() -> None:
    family, first = signed_in()
    second = rotated(family, first)
    reused = refresh(second.family, first, after=3600)
    assert isinstance(reused, Reused)
    assert refresh(reused.family, second.token, after=3600) == Dead()
    assert refresh(reused.family, first, after=3600) == Dead()


def test_a_right_handle_with_any_other_secret_is_reuse() -> None:
    family, first = signed_in()
    assert isinstance(refresh(family, RefreshToken(first.handle, "A" * 43)), Reused)


def test_a_family_that_nobody_refreshes_expires() -> None:
    family, first = signed_in()
    assert refresh(family, first, after=30 * DAY) == Expired()
    assert isinstance(refresh(family, first, after=30 * DAY - 1), Rotated)


def test_the_store_holds_no_token() -> None:
    family, first = signed_in()
    second = rotated(family, first)
    for stored in (family, second.family):
        text = stored.model_dump_json()
        for token in (first, second.token):
            assert token.secret not in text
            assert token.handle not in text
    assert first.handle not in first.family


def test_a_family_survives_the_store() -> None:
    family, first = signed_in()
    stored = rotated(family, first).family
    assert Family.model_validate_json(stored.model_dump_json()) == stored
    assert json.loads(stored.model_dump_json())["grant"]["user"] == "alice"


def test_a_token_survives_the_wire() -> None:
    _, first = signed_in()
    assert RefreshToken.parse(str(first)) == first
    assert len(str(first)) == 66


def test_a_token_is_not_in_a_repr() -> None:
    _, first = signed_in()
    assert first.secret not in repr(first)
    assert first.handle not in repr(first)


@given(st.text(max_size=80))
def test_a_text_that_is_no_refresh_token_is_none(text: str) -> None:
    assert RefreshToken.parse(text) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 8)), max_size=12))
def test_while_nobody_presents_an_old_token_there_is_one_line_of_tokens(steps: list[tuple[int, float]]) -> None:
    """A client repeats each refresh as often as it likes within the grace, then goes on with the newest token."""
    family, token = signed_in()
    now = 0.0
    for retries, pause in steps:
        outcome = rotated(family, token, after=now)
        for retry in range(retries):
            again = refresh(outcome.family, token, after=now + retry * 1.9, nonce=bytes(16))
            assert again == Repeated(outcome.family, outcome.token)
        family, token = outcome.family, outcome.token
        now += pause
    assert isinstance(refresh(family, token, after=now), Rotated)
