"""Who may come in: what is asked, what is remembered, and for how long. Resume grants ask nobody."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from tests.edge.peers import poll, upgrade
from tests.support.nats import NatsServer
from tests.support.waiting import within
from whimbrel.edge.core import resume
from whimbrel.edge.core.effects import Identified, Rejected
from whimbrel.edge.core.identity import Identity, group_set
from whimbrel.edge.shell import batches, gatekeeper
from whimbrel.edge.shell.gatekeeper import YOUNG_S
from whimbrel.protocol import subjects
from whimbrel.protocol.rpc import ResumeKey

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = ResumeKey(kid="for-grants", secret="a secret that only edges share", created=0)


async def identify(edge: Edge, token: str | None, grant: str | None = None) -> Identified | Rejected:
    return await within(edge.pod.gatekeeper.identify(token, grant, now=edge.pod.now()))


def user_of(outcome: Identified | Rejected) -> str:
    assert isinstance(outcome, Identified), outcome
    return outcome.identity.user


# Tokens


async def test_a_token_is_verified_once_and_remembered_until_it_expires(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = a_name("alice")
    token = edge.neighbours.token(user, ttl=60)
    for _ in range(3):
        assert user_of(await identify(edge, token)) == user
    assert edge.neighbours.verified == [token]
    assert edge.neighbours.resolved == [user]
    later = time.time() + 61
    monkeypatch.setattr("whimbrel.edge.shell.gatekeeper.time.time", lambda: later)
    await identify(edge, token)
    assert edge.neighbours.verified == [token, token], "auth says what an expired token is worth"


async def test_what_a_poll_recalls_asks_nobody(edge: Edge) -> None:
    user, group = a_name("alice"), a_name("vip")
    edge.neighbours.groups[user] = {group}
    token = edge.neighbours.token(user, groups=("staff",))
    assert edge.pod.gatekeeper.recall(token, now=edge.pod.now()) is None
    await identify(edge, token)
    recalled = edge.pod.gatekeeper.recall(token, now=edge.pod.now())
    assert recalled is not None
    assert recalled.groups == {group, "staff"}
    await edge.neighbours.leave(user, group)
    await eventually(lambda: edge.pod.users._users[user].changes)
    recalled = edge.pod.gatekeeper.recall(token, now=edge.pod.now())
    assert recalled is not None
    assert recalled.groups == {"staff"}


async def test_tickets_are_spent_so_few_at_a_time_that_the_answer_fits_into_one_message(edge: Edge) -> None:
    groups = tuple(f"group-{number:04}-of-a-name-that-is-rather-long" for number in range(150))  # some 6 KiB
    users = [a_name("alice") for _ in range(60)]
    tickets = [edge.neighbours.ticket(user, groups=groups) for user in users]
    redeem, now = edge.pod.gatekeeper.redeem, edge.pod.now()
    outcomes = await within(asyncio.gather(*(redeem(ticket, now=now) for ticket in tickets)))
    assert [user_of(outcome) for outcome in outcomes] == users


async def test_the_least_recently_used_token_is_forgotten_first(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatekeeper, "REMEMBERED", 2)
    keeper = edge.pod.gatekeeper
    keeper._verified.clear()
    polled, idle, new = (edge.neighbours.token(a_name("alice")) for _ in range(3))
    for token in (polled, idle):
        await identify(edge, token)
    assert keeper.recall(polled, now=edge.pod.now()) is not None, "a poll is a use"
    await identify(edge, new)
    assert len(keeper._verified) == 2
    assert keeper.recall(polled, now=edge.pod.now()) is not None
    assert keeper.recall(idle, now=edge.pod.now()) is None


async def test_a_token_that_auth_refuses_is_not_remembered(edge: Edge) -> None:
    for _ in range(2):
        outcome = await identify(edge, "forged")
        assert isinstance(outcome, Rejected)
        assert (outcome.close, outcome.error) == (4501, 101)
    assert edge.neighbours.verified == ["forged", "forged"]


async def test_a_token_that_is_too_long_is_not_even_asked_about(edge: Edge) -> None:
    outcome = await identify(edge, "x" * 8193)
    assert isinstance(outcome, Rejected)
    assert outcome.close == 4501
    assert edge.neighbours.verified == []


async def test_a_change_that_overtakes_the_routers_answer_is_not_undone_by_it(edge: Edge) -> None:
    user, group = a_name("alice"), a_name("vip")
    edge.neighbours.groups[user] = {group}
    edge.neighbours.before_resolve = gate = asyncio.Event()
    asking = asyncio.create_task(identify(edge, edge.neighbours.token(user)))
    await eventually(lambda: edge.neighbours.resolved)
    await edge.neighbours.leave(user, group)
    await eventually(lambda: edge.pod.users._users[user].changes)
    gate.set()
    outcome = await within(asking)
    assert isinstance(outcome, Identified)
    assert outcome.identity.groups == frozenset()
    assert edge.neighbours.resolved == [user, user], "asked again"


async def test_services_that_are_away_are_no_fault_of_the_client(
    own_bus: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PATIENCE_S", 0.2)
    silent = Neighbours(own_bus)  # nobody opened it: neither auth nor router answers
    async with an_edge(silent) as edge:
        outcome = await identify(edge, "any")
        assert isinstance(outcome, Rejected)
        assert (outcome.close, outcome.error) == (4006, 108)
        assert 1000 <= outcome.after_ms <= 3000, "spread, so that they do not come back at once"
        for request in (poll("any", {"inbox": None}), upgrade(authorization="Bearer any")):
            answer = await edge.ask(request)
            assert (answer.status, answer.json["slug"]) == (503, "unavailable")
            assert 1 <= int(answer.headers["retry-after"]) <= 3
        peer = await edge.socket()
        peer.say({"type": "connect", "id": 1, "token": "any"})
        disconnect = await peer.hear()
        assert (disconnect["code"], disconnect["reconnect"]) == (4006, True)
        assert disconnect["after_ms"] >= 1000


# Grants


async def a_grant(edge: Edge, *, made: float, user: str = "") -> str:
    """Return a grant of somebody, under a key that ``edge`` knows."""
    now = int(time.time())
    identity = Identity(user or a_name("resumer"), group_set(()), group_set(()), (), now + 7200, None, now)
    await edge.neighbours.resume_keys(KEY)
    await eventually(lambda: (edge.pod.gatekeeper.seal(identity) or "").startswith(f"{KEY.kid}."))
    grant = resume.seal(identity, kid=KEY.kid, secret=KEY.secret.encode(), now=int(made))
    assert grant is not None
    return grant


async def resumed(edge: Edge, grant: str) -> str:
    connected = await (await edge.socket()).ask("connect", resume=grant)
    return str(connected["resume"])


async def test_a_young_grant_is_given_back_as_it_came(edge: Edge) -> None:
    grant = await a_grant(edge, made=time.time() - YOUNG_S / 2)
    assert await resumed(edge, grant) == grant


async def test_an_older_grant_is_replaced(edge: Edge) -> None:
    grant = await a_grant(edge, made=time.time() - YOUNG_S - 1)
    replaced = await resumed(edge, grant)
    assert replaced != grant
    assert await resumed(edge, replaced) == replaced


async def test_who_resumes_asks_neither_auth_nor_router(edge: Edge) -> None:
    user = a_name("resumer")
    grant = await a_grant(edge, made=time.time(), user=user)
    assert user_of(await identify(edge, None, grant)) == user
    assert user_of(await identify(edge, "a token that nobody looks at", grant)) == user
    assert (edge.neighbours.verified, edge.neighbours.resolved) == ([], [])


async def test_a_grant_that_is_no_longer_good_is_ignored_where_there_is_a_token(edge: Edge) -> None:
    user = a_name("alice")
    stale = await a_grant(edge, made=time.time() - 3601, user=user)
    assert user_of(await identify(edge, edge.neighbours.token(user), stale)) == user
    refused = await identify(edge, None, stale)
    assert isinstance(refused, Rejected)
    assert refused.close == 4501


@pytest.mark.parametrize(("change", "honoured"), [(-1, True), (0, False), (100, False)])
async def test_a_change_of_rights_voids_the_grants_made_up_to_then(edge: Edge, change: int, honoured: bool) -> None:
    user = a_name("resumer")
    made = int(time.time()) - 10
    grant = await a_grant(edge, made=made, user=user)
    await edge.neighbours.void_grants(user, at=made + change)
    await eventually(lambda: subjects.rights_key(user) in edge.pod.gatekeeper._changes)
    assert isinstance(await identify(edge, None, grant), Identified) is honoured


async def test_a_rotated_key_still_opens_what_it_sealed_while_it_is_kept(edge: Edge) -> None:
    now = int(time.time())
    grant = await a_grant(edge, made=now)
    fresh = ResumeKey(kid="fresh", secret="another secret", created=now)
    kids: Callable[[], set[str]] = lambda: set(edge.pod.gatekeeper._resume_keys())  # noqa: E731
    await edge.neighbours.resume_keys(KEY, fresh)
    await eventually(lambda: kids() == {KEY.kid, fresh.kid})
    outcome = await identify(edge, None, grant)
    assert isinstance(outcome, Identified)
    sealed = edge.pod.gatekeeper.seal(outcome.identity)
    assert sealed is not None
    assert sealed.startswith("fresh."), "the newest seals"
    await edge.neighbours.resume_keys(fresh)
    await eventually(lambda: kids() == {fresh.kid})
    assert isinstance(await identify(edge, None, grant), Rejected)
