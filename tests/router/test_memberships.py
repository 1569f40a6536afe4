"""Memberships as they are stored, and the groups that follow from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.router.core.memberships import Membership, decode, encode, rights

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)


@given(TEXT, TEXT)
def test_any_user_and_group_survive_the_store(user: str, group: str) -> None:
    membership = Membership(user=user, group=group)
    assert decode(encode(membership)) == membership


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"[]", b"\xff", b'{"user":"alice","group":""}', b'{"user":7,"group":"vip"}']
)
def test_a_marker_or_a_foreign_value_is_no_membership(value: bytes) -> None:
    assert decode(value) is None


def test_rights_are_the_union_of_the_token_and_the_store_sorted() -> None:
    stored = [Membership(user="alice", group=group) for group in ("vip", "beta")]
    assert rights(("staff", "vip"), stored) == ("beta", "staff", "vip")
    assert rights((), []) == ()
