"""The HTTP endpoints: contract codes for whatever arrives, before the bus is asked."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.router.asking import assert_problem
from tests.support.bus import LOG, SERVICE_KEY
from whimbrel.protocol import subjects
from whimbrel.router.shell.deadletters import DeadLetters
from whimbrel.router.shell.gaps import Gaps
from whimbrel.router.shell.groups import Groups
from whimbrel.router.shell.http import application
from whimbrel.router.shell.metrics import Counts
from whimbrel.router.shell.namespaces import NamespaceTable
from whimbrel.router.shell.responder import Responder
from whimbrel.router.shell.sessions import Sessions
from whimbrel.router.shell.status import Status
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.http import service_key
from whimbrel.runtime.kv import Bucket, KvView
from whimbrel.runtime.nats import Connection


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose bus is not connected: whatever gets past the border is unavailable."""
    bus = Connection("nats://127.0.0.1:1", name="router", log=LOG)
    reads, counts = DirectGet(bus), Counts()
    groups = Groups(bus, reads, counts, LOG, clock=lambda: 0)
    view = KvView(bus, reads, subjects.NAMESPACES, LOG)
    table = NamespaceTable(Bucket(bus, reads, subjects.NAMESPACES), view, LOG)
    responder = Responder(groups, lambda: table.table, counts)
    letters = DeadLetters(bus, reads, LOG)
    app = application(
        groups,
        table,
        responder,
        Status(bus),
        letters,
        Sessions(bus, reads, clock=lambda: 0),
        Gaps(reads),
        LOG,
        guard=service_key(SERVICE_KEY),
    )
    headers = {"authorization": f"Bearer {SERVICE_KEY}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://router", headers=headers
    ) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/groups/vip/members"),
        ("GET", "/v1/dlq/17"),
        ("POST", "/v1/dlq/17/replay"),
        ("DELETE", "/v1/dlq/17"),
        ("PUT", "/v1/groups/vip/members/alice"),
        ("DELETE", "/v1/groups/vip/members/alice"),
        ("GET", "/v1/users/alice/groups"),
        ("GET", "/v1/namespaces"),
        ("POST", "/v1/authorize"),
        ("GET", "/v1/status"),
        ("GET", "/v1/dlq"),
        ("GET", "/v1/sessions/AbCd"),
        ("GET", "/v1/sessions?user=alice"),
        ("GET", "/v1/gaps"),
    ],
)
async def test_every_path_needs_the_service_key(http: httpx.AsyncClient, method: str, path: str) -> None:
    http.headers["authorization"] = f"Bearer {SERVICE_KEY}x"
    assert_problem(await http.request(method, path), 401, 101, "unauthorized")
    http.headers.pop("authorization")
    assert_problem(await http.request(method, path), 401, 101, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/v1/groups/vip/members/", None, 400),
        ("PUT", f"/v1/groups/vip/members/{'a' * 513}", None, 400),
        ("PUT", f"/v1/groups/{'g' * 129}/members/alice", None, 400),
        ("PUT", "/v1/groups/a/b/members/alice", None, 404),
        ("PUT", "/v1/groups/staff%2Fmembers%2Fmallory/members/alice", None, 400),
        ("DELETE", "/v1/groups/staff%2Fmembers%2Fmallory/members/alice", None, 400),
        ("POST", "/v1/groups/vip/members/alice", None, 405),
        ("GET", "/v1/dlq?limit=0", None, 400),
        ("GET", "/v1/dlq?limit=1001", None, 400),
        ("GET", "/v1/dlq?after=-1", None, 400),
        ("GET", "/v1/sessions", None, 400),
        ("GET", "/v1/sessions?user=alice&limit=101", None, 400),
        ("GET", f"/v1/sessions/{'s' * 65}", None, 400),
        ("GET", "/v1/dlq?after=x", None, 400),
        ("POST", "/v1/authorize", b"{", 400),
        ("POST", "/v1/authorize", b"{}", 400),
        ("POST", "/v1/authorize", b'{"user":"alice","channel":"a:b","action":"drop"}', 400),
        (
            "POST",
            "/v1/authorize",
            b'{"user":"a","channel":"a:b","action":"history","grants":[{"channel":">","allow":[]}]}',
            400,
        ),
        ("GET", "/v1/nothing", None, 404),
    ],
)
async def test_bad_input_is_a_bad_request(
    http: httpx.AsyncClient, method: str, path: str, body: bytes | None, status: int
) -> None:
    headers = {"content-type": "application/json"}
    assert_problem(await http.request(method, path, content=body, headers=headers), status, 107, "bad_request")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/groups/vip/members"),
        ("PUT", "/v1/groups/vip/members/alice"),
        ("DELETE", "/v1/groups/vip/members/alice"),
        ("GET", "/v1/users/alice/groups"),
        ("GET", "/v1/status"),
        ("GET", "/v1/dlq"),
        ("GET", "/v1/sessions/AbCd"),
        ("GET", "/v1/sessions?user=alice"),
    ],
)
async def test_without_a_bus_every_answer_is_unavailable_with_a_time_to_retry(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    reply = await http.request(method, path)
    assert_problem(reply, 503, 108, "unavailable")
    assert int(reply.headers["retry-after"]) >= 1
