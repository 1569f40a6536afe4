"""Resume keys: young enough to sign, kept long enough to verify."""

from hypothesis import given
from hypothesis import strategies as st

from whimbrel.protocol.limits import RESUME_GRANT_S
from whimbrel.protocol.rpc import ResumeKey
from whimbrel.router.core.resumekeys import KEEP_S, MAX_RESUME_KEYS, ROTATE_S, is_due, rotate

NOW = 1_700_000_000


def key(created: int) -> ResumeKey:
    return ResumeKey(kid=f"k{created}", secret="…", created=created)


def test_without_a_key_one_is_due() -> None:
    assert is_due((), now=NOW)
    assert rotate((), key(NOW)) == (key(NOW),)


def test_a_key_signs_for_twelve_hours() -> None:
    assert not is_due((key(NOW), key(NOW - 20 * 3600)), now=NOW + ROTATE_S - 1)
    assert is_due((key(NOW),), now=NOW + ROTATE_S)


def test_the_key_that_signed_until_now_still_verifies() -> None:
    assert rotate((key(NOW - ROTATE_S),), key(NOW)) == (key(NOW), key(NOW - ROTATE_S))


def test_a_key_that_stopped_signing_long_ago_goes() -> None:
    old, older = key(NOW - ROTATE_S), key(NOW - 2 * ROTATE_S)
    assert rotate((older, old), key(NOW)) == (key(NOW), old)


def test_the_keys_of_a_file_from_the_future_are_not_trusted_to_sign_for_ever() -> None:
    ahead = [key(NOW + 3600 * hours) for hours in range(20)]
    assert len(rotate(ahead, key(NOW))) <= MAX_RESUME_KEYS


@given(st.lists(st.integers(ROTATE_S, 5 * ROTATE_S), min_size=1, max_size=10), st.integers(0, RESUME_GRANT_S))
def test_every_grant_verifies_as_long_as_it_lives(pauses: list[int], age: int) -> None:
    """Whatever the pauses between rotations: a grant signed at any moment finds its key until it expires."""
    keys: tuple[ResumeKey, ...] = (key(NOW),)
    now = NOW
    for pause in pauses:
        now += pause
        signed_with = keys[0]  # by a grant signed just before the rotation
        keys = rotate(keys, key(now))
        assert signed_with in keys
        assert RESUME_GRANT_S < KEEP_S
        assert not is_due(keys, now=now + age)
