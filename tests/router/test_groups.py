"""Memberships on a real bus: stored, told, resolved."""

import asyncio

import pytest

from tests.router.asking import assert_problem, bucket, heard, resolve
from tests.support.bus import Connect, Serving
from tests.support.nats import NatsServer
from tests.support.waiting import Collected, within
from whimbrel.protocol import subjects
from whimbrel.protocol.rpc import (
    GroupsChanged,
    RightsChange,
)
from whimbrel.router.core.memberships import MAX_GROUPS_PER_USER
from whimbrel.router.shell import groups as groups_module
from whimbrel.runtime.errors import RequestRefused

STRANGE = "auth0|alice@example.com/ü *.>"
QUOTED = "auth0%7Calice@example.com/%C3%BC%20*.%3E"


async def test_a_member_is_resolved_at_once(router: Serving, connect: Connect) -> None:
    bus = await connect("edge")
    for group in ("vip", "beta"):
        reply = await router.http.put(f"/v1/groups/{group}/members/alice")
        assert (reply.status_code, reply.content) == (204, b"")
    assert await resolve(bus, "alice", "bob") == [("beta", "vip"), ()]
    assert await resolve(bus, "alice", groups=("staff", "vip")) == [("beta", "staff", "vip")]
    assert (await router.http.delete("/v1/groups/vip/members/alice")).status_code == 204
    assert await resolve(bus, "alice") == [("beta",)]


async def test_the_same_change_twice_is_as_good_as_once(router: Serving, connect: Connect) -> None:
    for _ in range(2):
        assert (await router.http.put("/v1/groups/vip/members/alice")).status_code == 204
    assert (await router.http.get("/v1/users/alice/groups")).json() == {"user": "alice", "groups": ["vip"]}
    for _ in range(2):
        assert (await router.http.delete("/v1/groups/vip/members/alice")).status_code == 204
    assert (await router.http.get("/v1/users/alice/groups")).json() == {"user": "alice", "groups": []}


async def test_members_and_groups_are_listed_sorted(router: Serving) -> None:
    for user, group in (("bob", "vip"), ("alice", "vip"), ("bob", "beta"), ("carol", "beta")):
        await router.http.put(f"/v1/groups/{group}/members/{user}")
    await router.http.delete("/v1/groups/beta/members/carol")
    assert (await router.http.get("/v1/groups/vip/members")).json() == {"group": "vip", "members": ["alice", "bob"]}
    assert (await router.http.get("/v1/groups/beta/members")).json() == {"group": "beta", "members": ["bob"]}
    assert (await router.http.get("/v1/groups/none/members")).json() == {"group": "none", "members": []}
    assert (await router.http.get("/v1/users/bob/groups")).json() == {"user": "bob", "groups": ["beta", "vip"]}


async def test_any_text_may_be_a_user_or_a_group(router: Serving, connect: Connect) -> None:
    bus = await connect("edge")
    long_user = "u" * 512
    assert (await router.http.put(f"/v1/groups/a%20b.*/members/{QUOTED}")).status_code == 204
    assert (await router.http.put(f"/v1/groups/vip/members/{long_user}")).status_code == 204
    assert await resolve(bus, STRANGE, long_user) == [("a b.*",), ("vip",)]
    assert (await router.http.get(f"/v1/users/{QUOTED}/groups")).json() == {"user": STRANGE, "groups": ["a b.*"]}
    assert (await router.http.get("/v1/groups/a%20b.*/members")).json()["members"] == [STRANGE]


async def test_open_sessions_are_told_within_a_second_and_again(router: Serving, connect: Connect) -> None:
    changes = await heard(await connect("edge"), "alice")
    await router.http.put("/v1/groups/vip/members/alice")
    assert await changes.until(2, seconds=1) == [GroupsChanged(joined=("vip",))] * 2
    await router.http.delete("/v1/groups/vip/members/alice")
    assert (await changes.until(4, seconds=1))[2:] == [GroupsChanged(left=("vip",))] * 2


async def test_what_is_told_is_stored_before(router: Serving, connect: Connect) -> None:
    bus = await connect("edge")
    resolved: Collected[asyncio.Task[list[tuple[str, ...]]]] = Collected()
    await bus.subscribe(
        subjects.user_subject("alice"), lambda _: resolved.append(asyncio.ensure_future(resolve(bus, "alice")))
    )
    await bus.flush()
    await router.http.put("/v1/groups/vip/members/alice")
    (first, *_) = await resolved.until(1, seconds=1)
    assert await first == [("vip",)]


async def test_who_joins_and_leaves_at_once_is_told_how_it_ended(router: Serving, connect: Connect) -> None:
    changes = await heard(await connect("edge"), "alice")
    await asyncio.gather(*(_change(router, method) for method in ("PUT", "DELETE") * 5))
    member = (await router.http.get("/v1/users/alice/groups")).json()["groups"] == ["vip"]
    told = await changes.until(11, seconds=1)  # ten changes, and once more how it ended
    assert told[-1] == (GroupsChanged(joined=("vip",)) if member else GroupsChanged(left=("vip",)))
    assert len(told) == 11


async def _change(router: Serving, method: str) -> None:
    assert (await router.http.request(method, "/v1/groups/vip/members/alice")).status_code == 204


async def test_a_change_voids_the_resume_grants_made_before_it(router: Serving, connect: Connect) -> None:
    before = int(router.service.started_at)
    await router.http.put("/v1/groups/vip/members/alice")
    stored = await bucket(await connect("router"), subjects.REVOKED).get(subjects.rights_key("alice"))
    assert stored is not None
    change = RightsChange.model_validate_json(stored.value)
    assert change.user == "alice"
    assert change.at >= before + groups_module.CLOCK_SKEW_S


async def test_a_user_is_in_a_bounded_number_of_groups(router: Serving) -> None:
    for number in range(MAX_GROUPS_PER_USER):
        assert (await router.http.put(f"/v1/groups/g{number}/members/alice")).status_code == 204
    assert_problem(await router.http.put("/v1/groups/more/members/alice"), 400, 106, "limit_exceeded")
    assert (await router.http.put("/v1/groups/g0/members/alice")).status_code == 204
    await router.http.delete("/v1/groups/g0/members/alice")
    assert (await router.http.put("/v1/groups/more/members/alice")).status_code == 204


async def test_more_keys_than_one_read_returns_are_read_in_pages(router: Serving, connect: Connect) -> None:
    """Markers of deletions count for the server's limit of 1024 keys in one read."""
    bus = await connect("router")
    memberships = bucket(bus, subjects.GROUPS)
    value = b'{"user":"alice","group":"g%d"}'
    for start in range(0, 1100, 100):
        numbers = range(start, start + 100)
        await asyncio.gather(
            *(memberships.put(subjects.membership_key("alice", f"g{number}"), value % number) for number in numbers)
        )
        await asyncio.gather(
            *(memberships.delete(subjects.membership_key("alice", f"g{number}")) for number in numbers if number > 4)
        )
    assert await resolve(await connect("edge"), "bob", "alice") == [(), ("g0", "g1", "g2", "g3", "g4")]


async def test_a_large_group_is_not_listed(router: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_module, "MAX_LISTED", 2)
    for user in ("alice", "bob"):
        await router.http.put(f"/v1/groups/vip/members/{user}")
    assert (await router.http.get("/v1/groups/vip/members")).json()["members"] == ["alice", "bob"]
    await router.http.put("/v1/groups/vip/members/carol")
    assert_problem(await router.http.get("/v1/groups/vip/members"), 400, 106, "limit_exceeded")


async def test_many_users_are_resolved_in_one_request(router: Serving, connect: Connect) -> None:
    await router.http.put("/v1/groups/vip/members/u7")
    answer = await resolve(await connect("edge"), *(f"u{number}" for number in range(1024)))
    assert [number for number, groups in enumerate(answer) if groups] == [7]
    with pytest.raises(RequestRefused) as refusal:
        await resolve(await connect("edge"), *(f"u{number}" for number in range(1025)))
    assert refusal.value.code == 413


async def test_a_malformed_question_is_refused_and_the_next_one_answered(router: Serving, connect: Connect) -> None:
    bus = await connect("edge")
    for subject in (subjects.ROUTER_RESOLVE, subjects.ROUTER_AUTHORIZE):
        for payload in (b"", b"{", b"[]", b'{"users":[{}]}', b'{"users":[{"user":"\\ud800"}]}', b'{"user":7}'):
            with pytest.raises(RequestRefused) as refusal:
                await bus.request(subject, payload, timeout=5)
            assert refusal.value.code == 400
    assert await resolve(bus, "alice") == [()]


async def test_an_outage_of_the_bus_is_unavailable_and_passes(
    server: NatsServer, router: Serving, connect: Connect
) -> None:
    await router.http.put("/v1/groups/vip/members/alice")
    server.kill()
    reply = await within(router.http.put("/v1/groups/beta/members/alice"))
    assert_problem(reply, 503, 108, "unavailable")
    assert "retry-after" in reply.headers
    server.start()
    bus = await connect("edge")

    async def answered() -> list[tuple[str, ...]]:
        while True:
            try:
                return await resolve(bus, "alice")
            except Exception:
                await asyncio.sleep(0.02)

    assert await within(answered()) == [("vip",)]
    assert (await router.http.get("/v1/namespaces")).status_code == 200
