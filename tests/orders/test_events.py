"""What a domain team writes on the bus."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.aio.client import Client

from orders import events
from orders.events import Press, headers_of, offer_event, order_event
from orders.shop import Change, Order

NOON = datetime(2026, 11, 23, 12, 0, 0, 120_000, tzinfo=UTC)
SHIPPED = Change(Order("48213", "alice", "Wool socks", 18.0, "shipped", 4), seq=120)


def test_an_order_event_is_a_cloudevent_for_its_customer_and_the_board() -> None:
    event = order_event(SHIPPED, "run")
    assert event.subject == "events.shop.order.48213"
    assert headers_of(event, NOON, None) == {
        "ce-specversion": "1.0",
        "ce-id": "run-120",
        "ce-source": "/shop",
        "ce-type": "order.shipped",
        "ce-time": "2026-11-23T12:00:00.120000Z",
        "ce-subject": "48213",
        "content-type": "application/json",
        "Nats-Msg-Id": "/shop/run-120",
        "whimbrel-users": "alice",
        "whimbrel-channels": "orders:board",
    }


def test_an_offer_is_for_the_group_alone() -> None:
    headers = headers_of(offer_event(7, "Wool socks", 20, "run"), NOON, "00-a-b-01")
    assert headers["whimbrel-groups"] == "vip"
    assert "whimbrel-users" not in headers
    assert headers["traceparent"] == "00-a-b-01"


def test_an_event_that_is_refused_is_published_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "RETRY_S", 0)
    refused = b'{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"},"seq":0}'
    replies = [refused, b'{"stream":"EVENTS","seq":7}']

    async def request(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(data=replies.pop(0))

    asyncio.run(Press(cast(Client, SimpleNamespace(request=request))).publish(offer_event(7, "Wool socks", 20, "run")))
    assert replies == []
