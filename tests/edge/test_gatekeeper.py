"""Resume grants: who has one asks neither auth nor router, and is given another in time."""

import time

import pytest

from tests.edge.edges import Edge, eventually
from tests.edge.neighbours import a_name
from whimbrel.edge.core import resume
from whimbrel.edge.core.identity import Identity, group_set
from whimbrel.edge.shell.gatekeeper import YOUNG_S
from whimbrel.protocol.rpc import ResumeKey

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = ResumeKey(kid="for-grants", secret="a secret that only edges share", created=0)


async def a_grant(edge: Edge, *, made: float) -> str:
    """Return a grant of somebody, under a key that ``edge`` knows."""
    now = int(time.time())
    identity = Identity(a_name("resumer"), group_set(()), group_set(()), (), now + 7200, None, now)
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
