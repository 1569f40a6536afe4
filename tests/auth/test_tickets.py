"""Tickets: good once, for 30 s, whichever process is asked."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.auth.conftest import settings
from tests.auth.forge import claims, token
from tests.support.bus import Connect, Serving, client
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.services import running
from whimbrel.auth.app import run
from whimbrel.auth.core.tickets import TICKET_BYTES, draw, judge, ticket_key
from whimbrel.protocol import subjects
from whimbrel.protocol.limits import TICKET_S
from whimbrel.protocol.rpc import Claims, RedeemRequest, TokenVerdict, VerifyReply
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import RequestRefused
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.nats import Connection

NOON = 1_000_000.0
ALICE = Claims(sub="alice", exp=int(NOON) + 3600, iat=int(NOON), iss="whimbrel")
ENTROPY = bytes(range(TICKET_BYTES))
ORIGIN = "https://shop.example"


async def redeemed(bus: Connection, *tickets: str) -> list[TokenVerdict]:
    request = RedeemRequest(tickets=tickets).model_dump_json().encode()
    reply = await bus.request(subjects.AUTH_REDEEM, request, timeout=5)
    return list(VerifyReply.model_validate_json(reply.payload).verdicts)


def who(verdicts: list[TokenVerdict]) -> list[str | None]:
    return [verdict.claims.sub if verdict.claims else None for verdict in verdicts]


async def a_ticket(http: httpx.AsyncClient, access_token: str) -> httpx.Response:
    return await http.post("/v1/tickets", headers={"authorization": f"Bearer {access_token}"})


def a_token(**changes: Any) -> str:
    return token(**{"iat": int(time.time()), "exp": int(time.time()) + 3600, **changes})


# The core


def test_a_ticket_stands_for_its_claims_until_its_time_is_over() -> None:
    _, ticket = draw(ALICE, entropy=ENTROPY, now=NOON)
    assert judge(ticket, now=NOON + TICKET_S - 0.1).claims == ALICE
    assert judge(ticket, now=NOON + TICKET_S).code == "unauthorized"


def test_a_ticket_does_not_outlive_its_token() -> None:
    _, ticket = draw(ALICE.model_copy(update={"exp": int(NOON) + 5}), entropy=ENTROPY, now=NOON)
    assert ticket.until == NOON + 5


def test_a_ticket_that_is_spent_or_unknown_stands_for_nobody() -> None:
    _, ticket = draw(ALICE, entropy=ENTROPY, now=NOON)
    spent = judge(ticket.model_copy(update={"claims": None}), now=NOON)
    assert spent == judge(None, now=NOON)
    assert (spent.code, spent.claims) == ("unauthorized", None)


def test_the_store_keeps_no_ticket() -> None:
    text, ticket = draw(ALICE, entropy=ENTROPY, now=NOON)
    key = ticket_key(text)
    assert key is not None
    assert text not in key + ticket.model_dump_json()


@pytest.mark.parametrize("text", ["", "x" * 31, "x" * 33, "x" * 31 + ".", "x" * 31 + "\n", "é" * 32])
def test_a_text_that_never_was_a_ticket_has_no_key(text: str) -> None:
    assert ticket_key(text) is None


# Auth on a real bus


async def test_a_ticket_is_redeemed_once(auth: Serving, connect: Connect) -> None:
    reply = await a_ticket(auth.http, a_token(sub="alice", groups=["vip"]))
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    assert 28 <= reply.json()["expires_in"] <= TICKET_S
    ticket, edge = reply.json()["ticket"], await connect("edge")
    [first] = await redeemed(edge, ticket)
    assert first.claims is not None
    assert (first.claims.sub, first.claims.groups) == ("alice", ("vip",))
    [second] = await redeemed(edge, ticket)
    assert (second.code, second.claims) == ("unauthorized", None)
    assert auth.service.detail()["tickets"] == {"made": 1, "redeemed": 1, "refused": 1}


async def test_of_many_who_show_a_ticket_at_once_one_comes_in_whichever_process_they_ask(
    server: NatsServer, connect: Connect, tmp_path: Path
) -> None:
    await jetstream.declare(await connect("router"), partitions=PARTITIONS, replicas=1)
    edges = [await connect("edge") for _ in range(4)]
    async with (
        running("auth", settings(server, tmp_path), run) as one,
        running("auth", settings(server, tmp_path), run),
        client(one) as http,
    ):
        for _ in range(5):
            ticket = (await a_ticket(http, a_token(sub="alice"))).json()["ticket"]
            verdicts = await asyncio.gather(*(redeemed(edge, ticket) for edge in edges))
            assert sorted(map(str, (who(each)[0] for each in verdicts))) == ["None", "None", "None", "alice"]


async def test_tickets_of_one_tick_are_answered_in_their_order(auth: Serving, connect: Connect) -> None:
    made = [(await a_ticket(auth.http, a_token(sub=user))).json()["ticket"] for user in ("alice", "bob")]
    answer = await redeemed(await connect("edge"), made[1], "garbage", "x" * 32, made[0], made[1])
    assert who(answer)[:4] == ["bob", None, None, "alice"] or who(answer) == [None, None, None, "alice", "bob"]
    assert sorted(map(str, who(answer))) == ["None", "None", "None", "alice", "bob"]


async def test_what_is_kept_expires_by_itself_and_names_no_ticket(auth: Serving, connect: Connect) -> None:
    ticket = (await a_ticket(auth.http, a_token())).json()["ticket"]
    key = ticket_key(ticket)
    assert key is not None
    reads = DirectGet(await connect("auth"))
    stored = await Bucket(await connect("auth"), reads, subjects.TICKETS).get(key)
    assert stored is not None
    raw = await reads.last("KV_TICKETS", subjects.key_subject(subjects.TICKETS, key))
    assert raw is not None
    assert b"Nats-TTL: 60s" in (raw.headers or b"")
    info = await jetstream.request(await connect("router"), "STREAM.INFO.KV_TICKETS")
    assert info["config"]["max_age"] == 120_000_000_000


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"tickets":[1]}'])
async def test_a_malformed_request_is_refused(auth: Serving, connect: Connect, payload: bytes) -> None:
    with pytest.raises(RequestRefused, match="not a RedeemRequest"):
        await (await connect("edge")).request(subjects.AUTH_REDEEM, payload, timeout=5)


async def test_too_many_tickets_at_once_are_refused(auth: Serving, connect: Connect) -> None:
    with pytest.raises(RequestRefused, match="at most 256"):
        await redeemed(await connect("edge"), *["x"] * 257)


# Over HTTP


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, 101),
        ({"authorization": "Basic abc"}, 101),
        ({"authorization": "Bearer garbage"}, 101),
        ({"authorization": f"Bearer {token(iat=1, exp=2)}"}, 110),
    ],
)
async def test_who_bears_no_good_token_gets_no_ticket(auth: Serving, header: dict[str, str], code: int) -> None:
    async with httpx.AsyncClient(base_url=auth.http.base_url) as nobody:
        reply = await nobody.post("/v1/tickets", headers=header)
    assert (reply.status_code, reply.json()["code"]) == (401, code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["www-authenticate"] == "Bearer"


async def test_the_service_key_is_no_access_token(auth: Serving) -> None:
    assert (await auth.http.post("/v1/tickets")).status_code == 401


async def test_an_allowed_page_may_ask_for_a_ticket(server: NatsServer, connect: Connect, tmp_path: Path) -> None:
    await jetstream.declare(await connect("router"), partitions=PARTITIONS, replicas=1)
    async with running("auth", settings(server, tmp_path, allowed_origins=ORIGIN), run) as auth, client(auth) as http:
        asked = {
            "origin": ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        preflight = await http.options("/v1/tickets", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        reply = await http.post("/v1/tickets", headers={"authorization": f"Bearer {a_token()}", "origin": ORIGIN})
        assert reply.headers["access-control-allow-origin"] == ORIGIN


def test_claims_of_a_token_survive_the_store() -> None:
    said = Claims.model_validate(claims(groups=["vip"], channels=[{"channel": "orders:*", "allow": ["subscribe"]}]))
    _, ticket = draw(said, entropy=ENTROPY, now=NOON)
    again = type(ticket).model_validate_json(ticket.model_dump_json(exclude_defaults=True))
    assert again.claims == said
