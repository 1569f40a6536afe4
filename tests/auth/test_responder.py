"""`rpc.auth.v1.verify`: verdicts in order, within bounds."""

import json
from typing import cast

import pytest

from tests.auth.forge import KEYS, NOW, token
from whimbrel.auth.core.verdicts import Verdicts
from whimbrel.auth.shell.metrics import Counts
from whimbrel.auth.shell.responder import MAX_TOKENS, Responder
from whimbrel.auth.shell.tickets import Tickets
from whimbrel.protocol.rpc import VerifyReply, VerifyRequest
from whimbrel.runtime.errors import RequestRefused
from whimbrel.runtime.metrics import Metrics


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def responder(counts: Counts) -> Responder:
    return Responder(Verdicts(KEYS), cast(Tickets, None), counts, clock=lambda: NOW)


async def test_verdicts_come_in_the_order_of_the_tokens(responder: Responder, counts: Counts) -> None:
    tokens = [token(sub="alice"), "garbage", token(exp=int(NOW) - 60), token("shop", sub="bob")] * 10
    reply = VerifyReply.model_validate_json(
        await responder.verify(VerifyRequest(tokens=tuple(tokens)).model_dump_json().encode())
    )
    assert [verdict.code for verdict in reply.verdicts] == ["ok", "unauthorized", "token_expired", "ok"] * 10
    assert [verdict.claims.sub for verdict in reply.verdicts if verdict.claims] == ["alice", "bob"] * 10
    assert counts.verdicts == {"ok": 20, "unauthorized": 10, "token_expired": 10}


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"tokens":"a"}', b'{"tokens":[1]}', b'{"tokens":["\\ud800"]}'])
async def test_a_malformed_request_is_refused(responder: Responder, payload: bytes) -> None:
    with pytest.raises(RequestRefused) as refusal:
        await responder.verify(payload)
    assert refusal.value.code == 400


async def test_too_many_tokens_at_once_are_refused(responder: Responder) -> None:
    with pytest.raises(RequestRefused) as refusal:
        await responder.verify(json.dumps({"tokens": ["x"] * (MAX_TOKENS + 1)}).encode())
    assert refusal.value.code == 413


async def test_the_verdicts_of_the_most_tokens_fit_one_message(responder: Responder) -> None:
    for text in ("x", token(exp=int(NOW) - 60), token(groups=["a"])):
        request = json.dumps({"tokens": [text] * min(MAX_TOKENS, 320 * 1024 // (len(text) + 3))})
        assert len(await responder.verify(request.encode())) < 320 * 1024


def test_what_is_counted_is_exposed(counts: Counts) -> None:
    metrics = Metrics()
    counts.expose(metrics, Verdicts(KEYS))
    counts.verdicts["ok"] += 2
    counts.refreshes["rotated"] += 1
    text = metrics.exposition().decode()
    assert 'whimbrel_auth_verdicts_total{code="ok"} 2\n' in text
    assert 'whimbrel_auth_refreshes_total{outcome="rotated"} 1\n' in text
