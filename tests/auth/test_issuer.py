"""Signing in and refreshing against a store that may be behind, busy or gone."""

import itertools
import logging
from collections.abc import Callable, Iterator

import pytest

from tests.auth.forge import KEYS, NOW
from whimbrel.auth.core.families import Family
from whimbrel.auth.core.tokens import verify
from whimbrel.auth.shell import issuer as issuer_module
from whimbrel.auth.shell.issuer import Issuer, SignedOut, Stored
from whimbrel.auth.shell.metrics import Counts
from whimbrel.protocol.bodies import TokenReply, TokenRequest
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.namespaces import Grant
from whimbrel.runtime.errors import BusUnavailable
from whimbrel.runtime.logs import Logger

DAY = 86_400.0
ALICE = TokenRequest(
    user="alice", groups=("vip",), channels=(Grant(channel="a:*", allow=("subscribe",)),), claims={}, ttl=60
)


class MemoryStore:
    """A store with revisions; ``reads`` holds what a replica that is behind answers first."""

    def __init__(self) -> None:
        self.families: dict[str, Stored] = {}
        self.reads: list[Stored | None] = []
        self.before_write: Callable[[], None] | None = None
        self.fault: Exception | None = None

    async def read(self, key: str) -> Stored | None:
        if self.fault is not None:
            raise self.fault
        return self.reads.pop(0) if self.reads else self.families.get(key)

    async def write(self, key: str, family: Family, *, revision: int, lifetime: float) -> bool:
        if self.before_write is not None:
            self.before_write()
        current = self.families.get(key)
        if revision != (0 if current is None else current.revision):
            return False
        self.families[key] = Stored(family, revision + 1)
        assert lifetime == 30 * DAY
        return True

    @property
    def only(self) -> Stored:
        (stored,) = self.families.values()
        return stored


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def draws() -> Iterator[bytes]:
    return (number.to_bytes(32) for number in itertools.count(1))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_module, "RETRY_S", 0)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def issuer(store: MemoryStore, clock: Clock, counts: Counts) -> Issuer:
    drawn = draws()
    return Issuer(
        store,
        KEYS.signer("whimbrel"),
        counts,
        Logger(logging.getLogger("test")),
        lifetime=30 * DAY,
        clock=clock,
        entropy=lambda size: next(drawn)[-size:],
    )


async def signed_out(issuer: Issuer, token: str) -> ErrorCode | CloseCode:
    with pytest.raises(SignedOut) as refusal:
        await issuer.refresh(token)
    return refusal.value.code


def says(reply: TokenReply, now: float) -> object:
    verdict = verify(reply.access_token, KEYS, now=now)
    assert verdict.claims is not None
    return verdict.claims.sub, verdict.claims.groups, verdict.claims.channels, verdict.claims.exp - verdict.claims.iat


async def test_a_refreshed_token_says_what_the_first_one_said(issuer: Issuer, clock: Clock) -> None:
    first = await issuer.sign_in(ALICE)
    clock.now += 3600
    second = await issuer.refresh(first.refresh_token)
    assert second.expires_in == first.expires_in == 60
    assert says(first, NOW) == says(second, clock.now) == ("alice", ("vip",), ALICE.channels, 60)
    assert second.refresh_token != first.refresh_token
    assert second.access_token != first.access_token


async def test_a_lost_response_is_answered_again(issuer: Issuer, clock: Clock, counts: Counts) -> None:
    first = await issuer.sign_in(ALICE)
    lost = await issuer.refresh(first.refresh_token)
    clock.now += 9
    again = await issuer.refresh(first.refresh_token)
    assert again.refresh_token == lost.refresh_token
    assert counts.refreshes == {"rotated": 1, "repeated": 1}
    await issuer.refresh(again.refresh_token)


async def test_two_tabs_that_refresh_at_once_get_the_same_token(issuer: Issuer, store: MemoryStore) -> None:
    first = await issuer.sign_in(ALICE)
    read_by_both = store.only
    one = await issuer.refresh(first.refresh_token)
    store.reads = [read_by_both]  # the other tab's request was read before the first one wrote
    other = await issuer.refresh(first.refresh_token)
    assert one.refresh_token == other.refresh_token


async def test_reuse_signs_everybody_out(issuer: Issuer, clock: Clock, counts: Counts) -> None:
    first = await issuer.sign_in(ALICE)
    second = await issuer.refresh(first.refresh_token)
    clock.now += 11
    assert await signed_out(issuer, first.refresh_token) is CloseCode.REVOKED
    assert await signed_out(issuer, second.refresh_token) is CloseCode.REVOKED
    assert counts.refreshes == {"rotated": 1, "reused": 1, "revoked": 1}


async def test_a_replica_that_is_behind_does_not_make_the_newest_token_look_reused(
    issuer: Issuer, store: MemoryStore
) -> None:
    first = await issuer.sign_in(ALICE)
    before = store.only
    second = await issuer.refresh(first.refresh_token)
    store.reads = [before]
    third = await issuer.refresh(second.refresh_token)
    assert third.refresh_token not in (first.refresh_token, second.refresh_token)


async def test_a_sign_in_that_a_replica_has_not_seen_yet_is_found(issuer: Issuer, store: MemoryStore) -> None:
    first = await issuer.sign_in(ALICE)
    store.reads = [None]
    await issuer.refresh(first.refresh_token)


async def test_an_unknown_token_is_unauthorized(issuer: Issuer) -> None:
    assert await signed_out(issuer, f"{'A' * 22}.{'B' * 43}") is ErrorCode.UNAUTHORIZED


@pytest.mark.parametrize("text", ["x", "..", "A" * 66, f"{'A' * 22}.{'B' * 42}*", f"{'A' * 22}.{'B' * 43}\n"])
async def test_a_text_that_is_no_refresh_token_never_reaches_the_store(
    issuer: Issuer, store: MemoryStore, text: str
) -> None:
    store.fault = AssertionError("the store was asked")
    assert await signed_out(issuer, text) is ErrorCode.UNAUTHORIZED


async def test_an_unused_token_expires(issuer: Issuer, clock: Clock) -> None:
    first = await issuer.sign_in(ALICE)
    clock.now += 30 * DAY
    assert await signed_out(issuer, first.refresh_token) is ErrorCode.TOKEN_EXPIRED


async def test_an_outage_of_the_store_leaves_the_token_good(issuer: Issuer, store: MemoryStore) -> None:
    first = await issuer.sign_in(ALICE)
    store.fault = BusUnavailable("no connection to NATS")
    with pytest.raises(BusUnavailable):
        await issuer.refresh(first.refresh_token)
    store.fault = None
    await issuer.refresh(first.refresh_token)


async def test_a_write_without_an_answer_is_repeated_by_the_next_try(issuer: Issuer, store: MemoryStore) -> None:
    first = await issuer.sign_in(ALICE)
    committed = await issuer.refresh(first.refresh_token)  # stored, but its answer never arrived
    again = await issuer.refresh(first.refresh_token)
    assert again.refresh_token == committed.refresh_token


async def test_a_family_that_changes_all_the_time_is_unavailable_not_signed_out(
    issuer: Issuer, store: MemoryStore
) -> None:
    first = await issuer.sign_in(ALICE)

    def somebody_else_writes() -> None:
        ((key, stored),) = store.families.items()
        store.families[key] = Stored(stored.family, stored.revision + 1)

    store.before_write = somebody_else_writes
    with pytest.raises(Refused) as refusal:
        await issuer.refresh(first.refresh_token)
    assert refusal.value.code is ErrorCode.UNAVAILABLE
    store.before_write = None
    await issuer.refresh(first.refresh_token)
