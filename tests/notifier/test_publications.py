"""From an event on the bus to what the history streams keep, with the real process."""

from tests.notifier.platform import Platform
from whimbrel.runtime.delivery import header


async def test_an_event_reaches_the_channel_of_its_route_and_the_inboxes_of_its_audience(platform: Platform) -> None:
    platform.notifier()
    sequence = await platform.publish(
        "events.shop.order.42",
        b'{"status": "shipped",\n "total": 12.50}',
        {
            "ce-id": "e-1",
            "ce-type": "order.shipped",
            "ce-time": "2026-11-23T06:00:00Z",
            "whimbrel-users": "alice, bob@example.com",
            "whimbrel-groups": "vip",
        },
    )
    for channel in ("orders:42", "user:alice", "user:bob@example=2Ecom", "group:vip"):
        (stored,) = await platform.await_stored(channel, 1)
        assert stored.payload == (
            b'{"event":"order.shipped","event_id":"e-1","time":"2026-11-23T06:00:00Z",'
            b'"data":{"status": "shipped", "total": 12.50}}'
        )
        assert header(stored.headers, "Nats-Msg-Id") == f"{platform.layout.events_epoch}-{sequence}-{channel}"
        assert header(stored.headers, "traceparent") is None
