"""The HTTP endpoints: contract codes for whatever arrives."""

import json
import logging
from collections.abc import AsyncIterator
from typing import cast

import httpx
import pytest
from starlette.types import ASGIApp

from tests.auth.forge import KEYS
from tests.auth.test_issuer import MemoryStore
from whimbrel.auth.core.tokens import verify
from whimbrel.auth.core.verdicts import Verdicts
from whimbrel.auth.shell.http import Bearer, application
from whimbrel.auth.shell.issuer import Issuer
from whimbrel.auth.shell.metrics import Counts
from whimbrel.auth.shell.tickets import Tickets
from whimbrel.protocol.limits import MAX_BODY_BYTES
from whimbrel.runtime.errors import BusUnavailable
from whimbrel.runtime.http import service_key
from whimbrel.runtime.logs import Logger

SERVICE_KEY = "a service key of 32 characters.."
BACKEND = {"authorization": f"Bearer {SERVICE_KEY}"}
ORIGIN = "https://shop.example"
LOG = Logger(logging.getLogger("test"))
NOW = 1_700_000_000.0


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def an_issuer(store: MemoryStore) -> Issuer:
    drawn = iter(range(1, 1_000_000))
    return Issuer(
        store,
        KEYS.signer("whimbrel"),
        Counts(),
        LOG,
        lifetime=30 * 86_400,
        clock=lambda: NOW,
        entropy=lambda size: next(drawn).to_bytes(size),
    )


def an_application(store: MemoryStore, *origins: str) -> ASGIApp:
    """Return the endpoints around ``store``; tickets need a bus, and have tests of their own."""
    bearer = Bearer(Verdicts(KEYS), clock=lambda: NOW)
    guard = service_key(SERVICE_KEY)
    return application(an_issuer(store), cast(Tickets, None), LOG, guard=guard, bearer=bearer, origins=origins)


@pytest.fixture
async def auth(store: MemoryStore) -> AsyncIterator[httpx.AsyncClient]:
    app = an_application(store, ORIGIN)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://auth") as client:
        yield client


def assert_problem(reply: httpx.Response, status: int, code: int, slug: str) -> None:
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert (reply.status_code, body["status"], body["code"], body["slug"]) == (status, status, code, slug), body
    assert body["detail"]


async def test_a_backend_signs_a_user_in(auth: httpx.AsyncClient) -> None:
    reply = await auth.post("/v1/tokens", headers=BACKEND, json={"user": "alice", "groups": ["vip"], "ttl": 60})
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    body = reply.json()
    assert body.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 60)
    assert verify(body["access_token"], KEYS, now=NOW).code == "ok"


async def test_the_token_lives_an_hour_unless_said_otherwise(auth: httpx.AsyncClient) -> None:
    reply = await auth.post("/v1/tokens", headers=BACKEND, json={"user": "alice"})
    assert reply.json()["expires_in"] == 3600


async def test_whoever_holds_a_refresh_token_refreshes_without_a_key(auth: httpx.AsyncClient) -> None:
    first = (await auth.post("/v1/tokens", headers=BACKEND, json={"user": "alice"})).json()
    reply = await auth.post("/v1/tokens/refresh", json={"refresh_token": first["refresh_token"]})
    assert reply.status_code == 200
    assert reply.json()["refresh_token"] != first["refresh_token"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {SERVICE_KEY}",
        SERVICE_KEY,
        f"Bearer {SERVICE_KEY}x",
        f"Bearer {SERVICE_KEY[:-1]}",
    ],
)
async def test_without_the_service_key_nothing_is_minted(
    auth: httpx.AsyncClient, store: MemoryStore, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    reply = await auth.post("/v1/tokens", headers=headers, json={"user": "alice"})
    assert_problem(reply, 401, 101, "unauthorized")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert store.families == {}


BAD_BODIES = {
    "no user": {},
    "empty user": {"user": ""},
    "user a number": {"user": 7},
    "user too long": {"user": "a" * 513},
    "user a lone surrogate": b'{"user":"\\ud800"}',
    "an unknown field": {"user": "alice", "role": "admin"},
    "ttl zero": {"user": "alice", "ttl": 0},
    "ttl beyond a day": {"user": "alice", "ttl": 86_401},
    "ttl a text": {"user": "alice", "ttl": "soon"},
    "groups a text": {"user": "alice", "groups": "vip"},
    "an empty group": {"user": "alice", "groups": [""]},
    "a grant with a wildcard": {"user": "alice", "channels": [{"channel": "orders.>", "allow": ["subscribe"]}]},
    "a grant with an unknown action": {"user": "alice", "channels": [{"channel": "a:*", "allow": ["drop"]}]},
    "claims a list": {"user": "alice", "claims": []},
    "a claim of the contract": {"user": "alice", "claims": {"sub": "bob"}},
    "a claim that is not JSON": b'{"user":"alice","claims":{"x":NaN}}',
    "a claim that is no text": b'{"user":"alice","claims":{"x":"\\ud800"}}',
    "a list": [],
    "not JSON": b"{",
    "nested without end": b'{"user":"alice","claims":' + b'{"a":' * 5000,
    "not UTF-8": b'{"user":"\xff"}',
    "empty": b"",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_is_a_bad_request(auth: httpx.AsyncClient, store: MemoryStore, body: object) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = await auth.post("/v1/tokens", headers={**BACKEND, "content-type": "application/json"}, content=content)
    assert_problem(reply, 400, 107, "bad_request")
    assert store.families == {}


async def test_a_token_that_no_edge_would_take_is_too_large(auth: httpx.AsyncClient) -> None:
    reply = await auth.post("/v1/tokens", headers=BACKEND, json={"user": "alice", "claims": {"x": "y" * 9000}})
    assert_problem(reply, 413, 112, "too_large")


async def test_a_body_over_the_limit_is_too_large(auth: httpx.AsyncClient) -> None:
    body = {"refresh_token": "x" * MAX_BODY_BYTES}
    assert_problem(await auth.post("/v1/tokens/refresh", json=body), 413, 112, "too_large")


@pytest.mark.parametrize("token", ["x", "", "a" * 1025, 7, None])
async def test_a_text_that_is_no_refresh_token_is_refused(auth: httpx.AsyncClient, token: object) -> None:
    reply = await auth.post("/v1/tokens/refresh", json={"refresh_token": token})
    if token == "x":
        assert_problem(reply, 401, 101, "unauthorized")
    else:
        assert_problem(reply, 400, 107, "bad_request")


async def test_a_refused_body_is_not_quoted(auth: httpx.AsyncClient) -> None:
    canary = "canary-7f3a" * 200
    reply = await auth.post("/v1/tokens/refresh", json={"refresh_token": canary})
    assert "canary" not in reply.text


async def test_an_outage_of_the_store_is_unavailable_with_a_time_to_retry(
    auth: httpx.AsyncClient, store: MemoryStore
) -> None:
    first = (await auth.post("/v1/tokens", headers=BACKEND, json={"user": "alice"})).json()
    store.fault = BusUnavailable("no connection to NATS")
    reply = await auth.post("/v1/tokens/refresh", json={"refresh_token": first["refresh_token"]})
    assert_problem(reply, 503, 108, "unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.json()["retry_after_ms"] > 0


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/tokens", 405), ("POST", "/v1/nothing", 404), ("GET", "/docs", 404)]
)
async def test_other_paths_and_methods_are_problems(
    auth: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert_problem(await auth.request(method, path), status, 107, "bad_request")


# Pages


async def preflight(auth: httpx.AsyncClient, path: str, origin: str) -> httpx.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    return await auth.options(path, headers=headers)


async def test_a_page_of_an_allowed_origin_may_refresh(auth: httpx.AsyncClient) -> None:
    asked = await preflight(auth, "/v1/tokens/refresh", ORIGIN)
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, ORIGIN)
    reply = await auth.post("/v1/tokens/refresh", headers={"origin": ORIGIN}, json={"refresh_token": "x"})
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("origin", ["https://evil.example", f"{ORIGIN}.evil", "http://shop.example", "null"])
async def test_a_page_of_another_origin_may_not(auth: httpx.AsyncClient, origin: str) -> None:
    asked = await preflight(auth, "/v1/tokens/refresh", origin)
    assert "access-control-allow-origin" not in asked.headers


async def test_no_page_may_mint(auth: httpx.AsyncClient) -> None:
    asked = await preflight(auth, "/v1/tokens", ORIGIN)
    assert "access-control-allow-origin" not in asked.headers


async def test_without_origins_no_page_may_refresh(store: MemoryStore) -> None:
    app = an_application(store)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://auth") as auth:
        assert "access-control-allow-origin" not in (await preflight(auth, "/v1/tokens/refresh", ORIGIN)).headers
