"""What comes over the bus: its protocol, its headers, publications, the events of domain teams."""

import json
from typing import Final

from nats.aio.client import Client

from tests.fuzz.websockets import cut
from whimbrel.edge.shell.hearing import position, trace_of
from whimbrel.notifier.core import events
from whimbrel.notifier.core.errors import Undeliverable
from whimbrel.protocol.errors import ContractError
from whimbrel.protocol.publications import decode_body, encode_body, publication_frame
from whimbrel.runtime import delivery, traces
from whimbrel.runtime.fastclient import FastClient
from whimbrel.runtime.subscriptions import Registry

TRACEPARENT: Final = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _registry() -> Registry:
    def failed(subject: str, error: Exception) -> None:
        raise AssertionError(subject) from error

    registry = Registry(failed)
    for number in range(3):
        registry.attach(f"live.orders.{number}", "", lambda _: None)
    return registry


REGISTRY: Final = _registry()


def bus_protocol(data: bytes) -> bool:
    """What comes from the server is delivered, kept for the rest of it, or left to nats-py: all of it, in order."""
    client = FastClient(REGISTRY)
    client._status = Client.CONNECTED
    delivered = REGISTRY.messages_in
    for part in cut(data):
        left = client.take(part)
        if left:
            break
    return REGISTRY.messages_in > delivered


def bus_headers(data: bytes) -> bool:
    """Headers are found or not; what goes into a client's frame leaves it a frame with the same position."""
    raw = b"NATS/1.0" + data
    delivery.status(raw), delivery.description(raw), delivery.fields(raw)
    offset, prev = position(raw)
    assert offset >= 0 <= prev
    traces.extract(delivery.header(raw, "traceparent"))
    trace = trace_of(raw)
    frame = json.loads(publication_frame(b"orders:1", BODY, offset, prev, trace))
    assert set(frame) - {"trace"} == {"type", "channel", "offset", "prev", "event", "event_id", "time", "data"}
    assert (frame["offset"], frame["prev"]) == (offset, prev)
    return offset > 0


def publication(data: bytes) -> bool:
    try:
        decode_body(data)
    except ContractError:
        return False
    return True


BODY: Final = encode_body("order.changed", "e1", "2026-11-23T09:00:00Z", b'{"id":1}')
BUS: Final = [
    b"MSG live.orders.1 1 5\r\nhello\r\n" * 3,
    b"MSG live.orders.2 2 _INBOX.x 2\r\n{}\r\nPING\r\n",
    b"HMSG live.orders.1 1 34 %d\r\nNATS/1.0\r\nNats-Sequence: 12345\r\n\r\n%b\r\n" % (34 + len(BODY), BODY),
    b"MSG live.orders.1 1 5\r\nhello\r\nMSG live.orders.1 1 -31\r\n",
    b"HMSG live.orders.0 1 _INBOX.y 16 16\r\nNATS/1.0 404\r\n\r\n\r\n+OK\r\n-ERR 'x'\r\nPONG\r\n",
]
HEADERS: Final = [
    b"\r\nNats-Sequence: 17\r\nNats-Last-Sequence: 15\r\ntraceparent: %b\r\n\r\n" % TRACEPARENT,
    b" 503 No Responders\r\n\r\n",
    b"\r\nNats-Sequence: 1\r\nNats-Sequence: 2\r\nNats-Time-Stamp: 2026-11-23T09:00Z\r\nNats-Subject: c.1.a.b\r\n\r\n",
]


def event(data: bytes) -> bool:
    """A domain event, headers and payload: read, or a dead letter with its reason."""
    head, _, payload = data.partition(b"\r\n\r\n")
    fields = delivery.fields(b"NATS/1.0\r\n" + head)
    subject = fields.pop("subject", "events.shop.order.42")
    try:
        found = events.parse(events.Message(subject, 7, 1_700_000_000_000_000_000, fields, payload), epoch="e1")
    except Undeliverable:
        return False
    body = encode_body(found.type, found.id, found.time, found.data)
    assert b"\n" not in body, "a publication is one line"
    assert decode_body(body).data == found.value
    return True


EVENTS: Final = [
    b"ce-id: 1\r\nce-source: /shop\r\nce-type: order.paid\r\nce-time: 2026-11-23T09:00:00Z\r\nwhimbrel-users: a, b\r\n"
    b'whimbrel-channels: orders:1,orders:2\r\ntraceparent: %b\r\n\r\n{"id":1,\n"x":[1,2,{}]}' % TRACEPARENT,
    b"content-type: application/cloudevents+json\r\nwhimbrel-groups: vip\r\n\r\n"
    b'{"specversion":"1.0","id":"a","source":"/b","type":"c","time":"2026-11-23T09:00:00+01:00","data":{"n":1},"subject":"s"}',
    b"subject: events.shop.order.9\r\n\r\nnull",
    b"whimbrel-users: a\r\nwhimbrel-ttl: 3600\r\nwhimbrel-topic: order-42\r\n\r\n1",
    b"whimbrel-users: a\r\nwhimbrel-withdraw-topic: order-42\r\n\r\n",
    b"whimbrel-users: a\r\nwhimbrel-withdraw: 8d1f\r\n\r\n",
    b"\r\n\r\n",
]
