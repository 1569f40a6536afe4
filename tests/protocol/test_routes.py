"""The table of routes is what the services serve."""

import time
from typing import Any
from unittest.mock import Mock

import httpx
import pytest

from whimbrel.auth.shell import http as auth
from whimbrel.protocol.contract.routes import ROUTES, Caller, Route
from whimbrel.router.shell import http as router
from whimbrel.runtime.http import service_key

GUARD = service_key("a service key for tests")
APPLICATIONS: dict[str, Any] = {
    "auth": auth.application(
        Mock(), Mock(), Mock(), guard=GUARD, bearer=auth.Bearer(Mock(), clock=time.time), origins=[]
    ),
    "router": router.application(Mock(), Mock(), Mock(), Mock(), Mock(), Mock(), Mock(), Mock(), guard=GUARD),
}
SERVED = [(service, route) for service in APPLICATIONS for route in ROUTES[service]]


@pytest.mark.parametrize(("service", "route"), SERVED, ids=[f"{service} {route.name}" for service, route in SERVED])
async def test_a_route_is_served_where_the_table_says_so(service: str, route: Route) -> None:
    path = route.path.format(group="vip", user="alice", number=17, session="AbCd")
    transport = httpx.ASGITransport(APPLICATIONS[service])
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.request(route.method.upper(), path, content=b"{")
    if not route.served:
        assert answer.status_code in (404, 405)
    elif route.caller is not Caller.ANYONE:
        assert answer.status_code == 401
        assert answer.json()["slug"] == "unauthorized"
    else:
        assert answer.status_code == 400
        assert answer.json()["slug"] == "bad_request"
