"""Auth on a real bus: verdicts by request, families in the bucket, outages."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.auth.conftest import settings
from tests.auth.forge import token
from tests.support.bus import Connect, Serving, client
from tests.support.nats import PARTITIONS, NatsServer
from tests.support.services import running
from tests.support.waiting import within
from whimbrel.auth.app import run
from whimbrel.auth.core.families import RefreshToken
from whimbrel.protocol import subjects
from whimbrel.protocol.rpc import TokenVerdict, VerifyReply, VerifyRequest
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import RequestRefused, StartRefused
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.nats import Connection


async def verdicts(bus: Connection, *tokens: str) -> tuple[TokenVerdict, ...]:
    request = VerifyRequest(tokens=tokens).model_dump_json().encode()
    reply = await bus.request(subjects.AUTH_VERIFY, request, timeout=5)
    return VerifyReply.model_validate_json(reply.payload).verdicts


async def sign_in(auth: Serving, user: str = "alice") -> dict[str, str]:
    reply = await auth.http.post("/v1/tokens", json={"user": user, "groups": ["vip"]})
    assert reply.status_code == 200
    body: dict[str, str] = reply.json()
    return body


async def refresh(auth: Serving, refresh_token: str) -> httpx.Response:
    return await auth.http.post("/v1/tokens/refresh", json={"refresh_token": refresh_token})


def now() -> dict[str, Any]:
    return {"iat": int(time.time()), "exp": int(time.time()) + 60}


async def test_an_edge_learns_whose_tokens_it_holds(auth: Serving, connect: Connect) -> None:
    minted = (await sign_in(auth))["access_token"]
    foreign = token("shop", sub="bob", **now())
    forged = token("partner", iss="whimbrel", **now())
    expired = token(iat=1, exp=2)
    answer = await verdicts(await connect("edge"), minted, foreign, forged, expired, "garbage")
    assert [verdict.code for verdict in answer] == ["ok", "ok", "unauthorized", "token_expired", "unauthorized"]
    assert [verdict.claims and verdict.claims.sub for verdict in answer] == ["alice", "bob", None, None, None]
    assert answer[0].claims is not None
    assert answer[0].claims.groups == ("vip",)


async def test_a_malformed_question_is_refused_and_the_next_one_answered(auth: Serving, connect: Connect) -> None:
    bus = await connect("edge")
    with pytest.raises(RequestRefused) as refusal:
        await bus.request(subjects.AUTH_VERIFY, b"{", timeout=5)
    assert refusal.value.code == 400
    assert [verdict.code for verdict in await verdicts(bus, token(**now()))] == ["ok"]


async def test_tokens_are_verified_before_any_layout_exists(
    server: NatsServer, tmp_path: Path, connect: Connect
) -> None:
    """Edges come up with auth and router in any order; only refreshing needs the bucket."""
    starting = asyncio.ensure_future(_until_serving(server, tmp_path))
    bus = await connect("edge")
    text = token(**now())

    async def verified() -> str:
        while True:
            try:
                return (await verdicts(bus, text))[0].code
            except Exception:
                await asyncio.sleep(0.02)

    assert await within(verified()) == "ok"
    assert not starting.done()
    await jetstream.declare(await connect("router"), partitions=PARTITIONS, replicas=1)
    assert await within(starting) == 200


async def _until_serving(server: NatsServer, folder: Path) -> int:
    async with running("auth", settings(server, folder), run) as service, client(service) as http:
        return (await http.post("/v1/tokens", json={"user": "alice"})).status_code


async def test_a_family_lives_in_the_bucket_and_expires_there(auth: Serving, connect: Connect) -> None:
    first = await sign_in(auth)
    parsed = RefreshToken.parse(first["refresh_token"])
    assert parsed is not None
    bus = await connect("router")
    stored = await Bucket(bus, DirectGet(bus), subjects.REFRESH).get(parsed.family)
    assert stored is not None
    assert json.loads(stored.value)["grant"]["user"] == "alice"
    assert parsed.secret.encode() not in stored.value
    raw = await DirectGet(bus).last("KV_REFRESH", subjects.key_subject(subjects.REFRESH, parsed.family))
    assert raw is not None
    assert b"Nats-TTL: 2592000s" in raw.headers


async def test_refresh_tokens_rotate_and_reuse_revokes(auth: Serving) -> None:
    tokens = [(await sign_in(auth))["refresh_token"]]
    for _ in range(3):
        tokens.append((await refresh(auth, tokens[-1])).json()["refresh_token"])
    assert len(set(tokens)) == 4
    reused = await refresh(auth, tokens[0])
    assert (reused.status_code, reused.json()["slug"], reused.json()["code"]) == (401, "revoked", 4503)
    assert (await refresh(auth, tokens[-1])).json()["slug"] == "revoked"
    assert (await refresh(auth, (await sign_in(auth))["refresh_token"])).status_code == 200


async def test_a_client_cut_before_the_response_refreshes_again(auth: Serving) -> None:
    first = (await sign_in(auth))["refresh_token"]
    port = auth.service.detail()["port"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)  # type: ignore[arg-type]
    body = json.dumps({"refresh_token": first}).encode()
    head = "POST /v1/tokens/refresh HTTP/1.1\r\nhost: auth\r\ncontent-type: application/json\r\ncontent-length: "
    writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
    lost = await within(reader.readuntil(b"\r\n"))  # the answer is on its way, and the connection dies
    writer.transport.abort()
    assert lost == b"HTTP/1.1 200 OK\r\n"
    again = await refresh(auth, first)
    assert again.status_code == 200
    assert (await refresh(auth, again.json()["refresh_token"])).status_code == 200


async def test_many_tabs_that_refresh_at_once_stay_signed_in(auth: Serving) -> None:
    first = (await sign_in(auth))["refresh_token"]
    replies = await asyncio.gather(*(refresh(auth, first) for _ in range(8)))
    assert [reply.status_code for reply in replies] == [200] * 8
    (newest,) = {reply.json()["refresh_token"] for reply in replies}
    assert (await refresh(auth, newest)).status_code == 200


async def test_two_auth_services_share_families(auth: Serving, server: NatsServer, tmp_path: Path) -> None:
    first = (await sign_in(auth))["refresh_token"]
    async with running("auth", settings(server, tmp_path, instance="two"), run) as other, client(other) as http:
        replies = await asyncio.gather(
            refresh(auth, first), http.post("/v1/tokens/refresh", json={"refresh_token": first})
        )
    assert [reply.status_code for reply in replies] == [200, 200]
    assert len({reply.json()["refresh_token"] for reply in replies}) == 1


async def test_an_outage_of_the_bus_costs_nobody_the_sign_in(auth: Serving, server: NatsServer) -> None:
    first = (await sign_in(auth))["refresh_token"]
    server.kill()
    refused = await within(refresh(auth, first))
    assert (refused.status_code, refused.json()["slug"]) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    server.start()

    async def refreshed() -> httpx.Response:
        while True:
            reply = await refresh(auth, first)
            if reply.status_code != 503:
                return reply
            await asyncio.sleep(0.02)

    assert (await within(refreshed())).status_code == 200


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot read the key set .*WHIMBREL_AUTH_KEYS_FILE.*No such file"),
        ("{", "the key set .* cannot be used: the key set: Invalid JSON"),
        ('{"keys":[]}', "cannot be used: keys: List should have at least 1 item"),
    ],
)
async def test_a_wrong_key_set_is_one_sentence(
    server: NatsServer, tmp_path: Path, text: str | None, sentence: str
) -> None:
    wrong = tmp_path / "wrong.json"
    if text is not None:
        wrong.write_text(text)
    with pytest.raises(StartRefused, match=sentence):
        async with running("auth", settings(server, tmp_path, keys_file=wrong), run):
            pass


async def test_a_short_service_key_is_one_sentence_even_without_a_bus(server: NatsServer, tmp_path: Path) -> None:
    nowhere = settings(server, tmp_path, service_key="short", nats_url="nats://127.0.0.1:1")
    with pytest.raises(StartRefused, match="service key"):
        async with running("auth", nowhere, run):
            pass


async def test_an_issuer_without_a_key_is_one_sentence(server: NatsServer, tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="no key of the set can sign for the issuer 'acme'"):
        async with running("auth", settings(server, tmp_path, issuer="acme"), run):
            pass
