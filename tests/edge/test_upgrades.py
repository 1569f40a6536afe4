"""Heads of upgrades that were seen before."""

import pytest

from tests.edge.peers import KEY, request, upgrade
from whimbrel.edge.shell.handshake import Upgrade
from whimbrel.edge.shell.httpwire import Refusal, read_head
from whimbrel.edge.shell.upgrades import MAX_REMEMBERED_BYTES, REMEMBERED, Upgrades

ANOTHER_KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


def read(upgrades: Upgrades, head: bytes) -> Upgrade:
    return upgrades.read(read_head(head)[0], head)


def test_a_head_that_differs_in_its_key_alone_is_not_read_again() -> None:
    upgrades = Upgrades(deflate=False)
    first = read(upgrades, upgrade(user_agent="bird"))
    again = upgrades.recall(upgrade(user_agent="bird", sec_websocket_key=ANOTHER_KEY))
    assert again is not None
    assert again.request is first.request
    apart = read(Upgrades(deflate=False), upgrade(user_agent="bird", sec_websocket_key=ANOTHER_KEY))
    assert again.accept() == apart.accept() != first.accept()


@pytest.mark.parametrize(
    "other",
    [
        upgrade(user_agent="another bird"),
        upgrade(user_agent="bird") + b"\x81",
        upgrade(user_agent="bird")[:-2],
        upgrade(user_agent="bird").replace(b"Sec-WebSocket-Key", b"sec-websocket-key"),
        request("GET", "/v1/ws"),
        b"",
    ],
    ids=["another header", "more behind it", "not whole", "another case", "no key", "nothing"],
)
def test_any_other_head_is_read(other: bytes) -> None:
    upgrades = Upgrades(deflate=False)
    read(upgrades, upgrade(user_agent="bird"))
    assert upgrades.recall(other) is None


def test_a_key_that_is_none_is_refused_however_well_the_rest_is_known() -> None:
    upgrades = Upgrades(deflate=False)
    head = upgrade()
    read(upgrades, head)
    for key in (b"x" * 24, b"AAAAAAAAAAAAAAAAAAAAAAAA", b"\r\nSec-WebSocket-Protocol"):
        asked = upgrades.recall(head.replace(KEY.encode(), key))
        assert asked is not None
        with pytest.raises(Refusal, match="16 bytes"):
            asked.accept()


@pytest.mark.parametrize(
    "head",
    [
        upgrade(authorization="Bearer x"),
        upgrade().replace(b"/v1/ws", b"/v1/ws?ticket=abc"),
        upgrade(cookie="x" * MAX_REMEMBERED_BYTES),
    ],
    ids=["a token", "a ticket", "too long"],
)
def test_who_a_client_is_and_what_is_long_is_not_remembered(head: bytes) -> None:
    upgrades = Upgrades(deflate=False)
    read(upgrades, head)
    assert upgrades.recall(head) is None


def test_the_oldest_head_goes_when_there_are_too_many() -> None:
    upgrades = Upgrades(deflate=False)
    heads = [upgrade(user_agent=str(number)) for number in range(REMEMBERED + 1)]
    for head in heads:
        read(upgrades, head)
    assert upgrades.recall(heads[0]) is None
    assert all(upgrades.recall(head) for head in heads[1:])
