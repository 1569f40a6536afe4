"""HTTP: problems in place of errors, the service key, a port that is taken, an end with open requests."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Annotated, cast

import httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field

from tests.support.waiting import within
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import MalformedChannel, Refused
from whimbrel.runtime import http
from whimbrel.runtime.errors import NoResponders, StartRefused
from whimbrel.runtime.health import Health
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.ops import ops_app

KEY = "a-key-for-tests-only"


class Body(BaseModel):
    token: Annotated[str, Field(min_length=20)]


def an_app(log: Logger) -> FastAPI:
    app = FastAPI()
    http.answer_problems(app, log)

    @app.get("/refused")
    async def refused() -> None:
        raise Refused(ErrorCode.RATE_LIMITED, "too many", retry_ms=1500)

    @app.get("/malformed")
    async def malformed() -> None:
        raise MalformedChannel("'a b' is not a channel")

    @app.get("/outage")
    async def outage() -> None:
        raise NoResponders("nobody answers")

    @app.get("/fault")
    async def fault() -> None:
        raise LookupError("secret")

    @app.post("/body")
    async def body(body: Body) -> None: ...

    @app.get("/mine", dependencies=[Depends(http.service_key(KEY))])
    async def mine() -> str:
        return "yours"

    return app


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "slug", "detail"),
    [
        ("/refused", 429, "rate_limited", "too many"),
        ("/malformed", 400, "bad_request", "'a b' is not a channel"),
        ("/outage", 503, "unavailable", "the bus does not answer; try again"),
        ("/fault", 500, "internal", "a fault in the service; it was logged"),
        ("/nowhere", 404, "bad_request", "Not Found"),
        ("/body", 405, "bad_request", "Method Not Allowed"),
    ],
)
async def test_every_error_is_a_problem(log: Logger, path: str, status: int, slug: str, detail: str) -> None:
    async with client_of(an_app(log)) as client:
        response = await client.get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["slug"], body["detail"]) == (status, slug, detail)
    assert body["code"] == ErrorCode[slug.upper()]


async def test_who_is_asked_to_wait_is_told_how_long(log: Logger) -> None:
    async with client_of(an_app(log)) as client:
        limited, outage, fault = [await client.get(path) for path in ("/refused", "/outage", "/fault")]
    assert (limited.headers["retry-after"], limited.json()["retry_after_ms"]) == ("2", 1500)
    assert (outage.headers["retry-after"], outage.json()["retry_after_ms"]) == ("1", 1000)
    assert "retry-after" not in fault.headers
    assert "retry_after_ms" not in fault.json()


async def test_a_fault_of_ours_is_logged_once_with_its_path(log: Logger, caplog: pytest.LogCaptureFixture) -> None:
    async with client_of(an_app(log)) as client:
        await client.get("/fault?ticket=secret")
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [(record.message, record.__dict__["fields"]) for record in faults] == [("http.failed", {"path": "/fault"})]


async def test_a_malformed_body_is_told_where_but_not_repeated(log: Logger) -> None:
    async with client_of(an_app(log)) as client:
        response = await client.post("/body", json={"token": "secret"})
    assert response.status_code == 400
    assert response.json()["detail"] == "body.token: String should have at least 20 characters"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {KEY}", 200),
        (f"bearer  {KEY}", 200),
        (None, 401),
        ("", 401),
        (KEY, 401),
        ("Bearer ", 401),
        (f"Bearer {KEY}x", 401),
        (f"Basic {KEY}", 401),
        ("Bearer ü", 401),
    ],
)
async def test_only_the_service_key_opens(log: Logger, authorization: str | None, status: int) -> None:
    headers = {} if authorization is None else {b"authorization": authorization.encode("latin-1")}
    async with client_of(an_app(log)) as client:
        response = await client.get("/mine", headers=headers)
    assert response.status_code == status
    if status == 401:
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["slug"] == "unauthorized"


@pytest.mark.parametrize("key", ["", "short"])
def test_a_service_key_that_can_be_guessed_is_refused(key: str) -> None:
    with pytest.raises(StartRefused, match="fewer than 16 characters"):
        http.service_key(key)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", KEY.replace("e", "é")])
def test_a_service_key_that_nobody_could_send_is_refused(key: str) -> None:
    with pytest.raises(StartRefused, match="cannot stand in a header"):
        http.service_key(key)


def test_every_error_code_has_a_status_and_a_close_code_needs_one() -> None:
    assert set(http.HTTP_STATUS) == set(ErrorCode)
    assert http.problem_response(CloseCode.OVERLOADED, "full", status=503, retry_ms=10).status_code == 503


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with http.bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            StartRefused,
            match=f"cannot listen on 127.0.0.1:{port}: another program listens there; stop it or choose another port",
        ):
            http.bind("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_said_in_one_sentence() -> None:
    with pytest.raises(StartRefused, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign requested address"):
        http.bind("192.0.2.1", 0)
    with pytest.raises(StartRefused, match="cannot listen on no such host:0: "):
        http.bind("no such host", 0)


async def test_an_open_request_is_finished_when_the_server_stops(log: Logger) -> None:
    app = FastAPI()
    arrived, release, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        arrived.set()
        await release.wait()
        return "done"

    listener = http.bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    serving = asyncio.create_task(http.serve(app, listener, stop=stop))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        request = asyncio.create_task(client.get("/slow"))
        await within(arrived.wait())
        stop.set()
        release.set()
        assert (await within(request)).json() == "done"
    await within(serving)
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


async def test_an_answer_bears_the_date_of_its_second() -> None:
    sock = http.bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    serving = asyncio.create_task(http.serve(ops_app(Health(), Metrics()), sock))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        before = int(time.time())
        answer = await within(client.get("/live"))
        dates = [value for name, value in answer.headers.multi_items() if name == "date"]
    serving.cancel()
    await asyncio.wait([serving])
    [date] = dates
    assert before <= parsedate_to_datetime(date).timestamp() <= time.time()


async def test_a_cancelled_server_frees_its_port() -> None:
    listener = http.bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    serving = asyncio.create_task(http.serve(FastAPI(), listener))
    await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(serving)
    http.bind("127.0.0.1", port).close()


async def test_a_protocol_of_ours_takes_the_connections(log: Logger) -> None:
    class Greeting(asyncio.Protocol):
        def __init__(self, **of_uvicorn: object) -> None:
            self.of_uvicorn = of_uvicorn

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            stream = cast(asyncio.Transport, transport)
            stream.write(",".join(sorted(self.of_uvicorn)).encode())
            stream.close()

    listener = http.bind("127.0.0.1", 0)
    stop = asyncio.Event()
    serving = asyncio.create_task(http.serve(FastAPI(), listener, http=Greeting, stop=stop))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    assert await within(reader.read()) == b"app_state,config,server_state"
    writer.close()
    stop.set()
    await within(serving)


@pytest.fixture
def ops() -> Callable[[Health, Metrics], httpx.AsyncClient]:
    def client(health: Health, metrics: Metrics) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(ops_app(health, metrics))
        return httpx.AsyncClient(transport=transport, base_url="http://test")

    return client


async def test_the_ops_endpoints(ops: Callable[[Health, Metrics], httpx.AsyncClient]) -> None:
    health, metrics = Health(), Metrics()
    metrics.gauge("whimbrel_edge_sessions", "Sessions.", lambda: 7)
    async with ops(health, metrics) as client:
        assert (await client.get("/live")).status_code == 200
        starting = await client.get("/ready")
        assert (starting.status_code, starting.json()["reasons"]) == (503, ["service: starting"])
        health.ready()
        assert (await client.get("/ready")).json() == {"ready": True, "reasons": []}
        scraped = await client.get("/metrics")
    assert scraped.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "whimbrel_edge_sessions 7\n" in scraped.text
