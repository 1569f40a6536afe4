"""How notifiers share the partitions."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.notifier.core.peers import FORGET_S, Holding, Peers

PARTITIONS = 8


def peers_that_hold(*holdings: int) -> Peers:
    peers = Peers("me")
    for number, holds in enumerate(holdings):
        peers.hear(Holding(instance=f"peer-{number}", holds=holds), now=0)
    return peers


def test_who_is_alone_claims_and_keeps_everything() -> None:
    peers = peers_that_hold()
    assert peers.may_claim(PARTITIONS, 7)
    assert peers.to_release(PARTITIONS, range(8)) == []


def test_who_holds_too_much_lets_go_of_the_excess() -> None:
    assert peers_that_hold(0).to_release(PARTITIONS, range(8)) == [7, 6, 5, 4]
    assert peers_that_hold(4, 0).to_release(PARTITIONS, range(4)) == [3]


def test_who_holds_its_share_leaves_the_rest_to_those_who_have_less() -> None:
    assert not peers_that_hold(0).may_claim(PARTITIONS, 4)
    assert peers_that_hold(0).may_claim(PARTITIONS, 3)


def test_when_all_have_their_share_everybody_stands_by_for_the_others() -> None:
    peers = peers_that_hold(4)
    assert peers.may_claim(PARTITIONS, 4)
    assert peers.to_release(PARTITIONS, range(4)) == []


def test_a_share_that_does_not_divide_is_not_passed_round() -> None:
    assert peers_that_hold(3, 2).to_release(PARTITIONS, range(3)) == []


def test_a_silent_peer_is_forgotten() -> None:
    peers = peers_that_hold(0)
    peers.forget_silent(now=FORGET_S - 0.1)
    assert peers.count == 1
    peers.forget_silent(now=FORGET_S)
    assert (peers.count, peers.may_claim(PARTITIONS, 4)) == (0, True)


def test_our_own_word_does_not_count() -> None:
    peers = peers_that_hold()
    peers.hear(Holding(instance="me", holds=8), now=0)
    assert peers.count == 0


@given(start=st.lists(st.integers(0, 8), min_size=1, max_size=6), takers=st.randoms())
def test_any_start_evens_out(start: list[int], takers: Random) -> None:
    holds = [min(count, max(0, PARTITIONS - sum(start[:number]))) for number, count in enumerate(start)]

    def seen_by(number: int) -> Peers:
        return peers_that_hold(*(count for other, count in enumerate(holds) if other != number))

    for _ in range(100):
        for number in range(len(holds)):
            holds[number] -= len(seen_by(number).to_release(PARTITIONS, range(holds[number])))
        for _ in range(PARTITIONS - sum(holds)):
            willing = [number for number, count in enumerate(holds) if seen_by(number).may_claim(PARTITIONS, count)]
            assert willing, holds
            holds[takers.choice(willing)] += 1
    assert sum(holds) == PARTITIONS
    assert max(holds) <= -(-PARTITIONS // len(holds))


@pytest.mark.parametrize("payload", [b"{}", b'{"instance":"x","holds":-1}', b"no"])
def test_a_word_that_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Holding.model_validate_json(payload)
