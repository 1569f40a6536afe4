"""What the edge remembers of who people are."""

from whimbrel.edge.core.identity import Identity, group_set
from whimbrel.protocol.rpc import Claims


def claims_of(*groups: str) -> Claims:
    return Claims(sub="alice", exp=2000, iat=1000, iss="whimbrel", jti=None, groups=groups, channels=())


def test_the_routers_groups_come_on_top_of_the_tokens() -> None:
    identity = Identity.of(claims_of("vip")).within(frozenset({"staff"}))
    assert identity.groups == {"vip", "staff"}
    assert identity.token_groups == {"vip"}


def test_a_user_whom_the_router_puts_in_no_group_costs_no_second_identity() -> None:
    identity = Identity.of(claims_of("vip"))
    assert identity.within(frozenset()) is identity


def test_all_who_are_in_no_group_share_one_set() -> None:
    assert group_set(()) is group_set([])
    assert Identity.of(claims_of()).groups is Identity.of(claims_of()).token_groups is group_set(())
