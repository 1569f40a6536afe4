"""CloudEvents in, events out, or the reason why not."""

import json
from typing import Any

import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notifier.events import EPOCH, a_message, an_event
from whimbrel.notifier.core.errors import Reason, Undeliverable
from whimbrel.notifier.core.events import Event, Message, parse
from whimbrel.notifier.core.structured import member
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.publications import decode_body, encode_body

STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def reason_for(message: Message) -> tuple[Reason, str]:
    with pytest.raises(Undeliverable) as caught:
        parse(message, epoch=EPOCH)
    return caught.value.reason, caught.value.message


def test_a_binary_event_is_its_headers_and_its_payload() -> None:
    event = parse(
        a_message(
            b'{"status":"shipped"}',
            {
                "ce-id": "e-1",
                "ce-source": "/shop",
                "ce-type": "order.shipped",
                "ce-time": "2026-11-23T06:00:00.5+01:00",
                "traceparent": TRACEPARENT,
                "whimbrel-users": "alice, bob@example.com,,",
                "whimbrel-groups": "vip",
                "whimbrel-channels": "orders:42,orders:all",
            },
        ),
        epoch=EPOCH,
    )
    assert event == Event(
        id="e-1",
        source="/shop",
        type="order.shipped",
        time="2026-11-23T06:00:00.5+01:00",
        domain="shop",
        entity="order",
        entity_id="42",
        data=b'{"status":"shipped"}',
        value={"status": "shipped"},
        users=("alice", "bob@example.com"),
        groups=("vip",),
        channels=(Channel("orders", "42"), Channel("orders", "all")),
        traceparent=TRACEPARENT,
    )


def test_a_subject_and_json_are_enough_to_begin_with() -> None:
    event = parse(a_message(b"[1]"), epoch=EPOCH)
    assert (event.id, event.source, event.type, event.time) == (
        "5eed-7",
        "/shop",
        "order.event",
        "2026-11-23T06:01:37.972Z",
    )


def test_header_names_are_read_in_any_case() -> None:
    assert parse(a_message(headers={"Ce-Id": "e-1", "CE-Type": "order.paid"}), epoch=EPOCH)[:3] == (
        "e-1",
        "/shop",
        "order.paid",
    )


def test_an_event_without_a_payload_has_the_data_null() -> None:
    assert parse(a_message(b" "), epoch=EPOCH).data == b"null"


def test_data_stays_as_it_was_written_but_on_one_line() -> None:
    event = parse(a_message(b' {"price": 1.10,\r\n "text": "a\\nb"}\n'), epoch=EPOCH)
    assert event.data == b'{"price": 1.10, "text": "a\\nb"}'


def test_a_structured_event_is_unfolded_and_its_data_cut_out_as_written() -> None:
    payload = (
        b'{ "specversion" : "1.0", "id":"e-1","source":"/shop","type":"order.paid","time":"2026-11-23T06:00:00Z",'
        b'"data" : {"price": 1.10, "n": 1e400, "s": "}\\"{"} , "traceparent":"' + TRACEPARENT.encode() + b'"}'
    )
    event = parse(a_message(payload, STRUCTURED), epoch=EPOCH)
    assert event.data == b'{"price": 1.10, "n": 1e400, "s": "}\\"{"}'
    assert (event.id, event.source, event.type, event.time) == ("e-1", "/shop", "order.paid", "2026-11-23T06:00:00Z")
    assert event.traceparent == TRACEPARENT


@pytest.mark.parametrize("name", ["time", "traceparent", "data_base64", "subject", "data"])
def test_a_null_in_a_structured_event_is_as_good_as_nothing(name: str) -> None:
    payload = b'{"specversion":"1.0","id":"e-1","source":"/shop","type":"t","%b":null}' % name.encode()
    without = payload.replace(b',"%b":null' % name.encode(), b"")
    assert parse(a_message(payload, STRUCTURED), epoch=EPOCH) == parse(a_message(without, STRUCTURED), epoch=EPOCH)


def test_a_structured_event_may_name_its_audience_in_headers() -> None:
    payload = b'{"specversion":"1.0","id":"e-1","source":"/shop","type":"t"}'
    event = parse(a_message(payload, {**STRUCTURED, "whimbrel-users": "alice"}), epoch=EPOCH)
    assert (event.data, event.users) == (b"null", ("alice",))


def test_a_malformed_traceparent_counts_as_none() -> None:
    assert an_event(headers={"traceparent": '00-"},{"evil'}).traceparent == ""


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"hello",
        b"NaN",
        b'{"a":1}{"b":2}',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        b"[1,]",
        b"[" * 300 + b"]" * 300,
    ],
)
def test_what_is_not_json_is_refused(payload: bytes) -> None:
    assert reason_for(a_message(payload))[0] is Reason.NOT_JSON


@pytest.mark.parametrize(
    ("message", "reason", "hint"),
    [
        (a_message(b'"' + b"a" * 262_143 + b'"'), Reason.TOO_LARGE, "262145 bytes"),
        (a_message(subject="events.Shop.order.42"), Reason.BAD_SUBJECT, "events.<domain>.<entity>.<id>"),
        (a_message(subject="events.shop.order.a b"), Reason.BAD_SUBJECT, "'events.shop.order.a b'"),
        (a_message(headers={"ce-id": ""}), Reason.BAD_HEADER, "ce-id must be 1 to 256"),
        (a_message(headers={"ce-type": "x" * 129}), Reason.BAD_HEADER, "ce-type must be 1 to 128"),
        (a_message(headers={"ce-type": "a\x00b"}), Reason.BAD_HEADER, "printable"),
        (a_message(headers={"ce-time": "yesterday"}), Reason.BAD_HEADER, "RFC 3339"),
        (a_message(headers={"ce-time": "2026-13-01T00:00:00Z"}), Reason.BAD_HEADER, "RFC 3339"),
        (a_message(headers={"ce-specversion": "0.3"}), Reason.BAD_HEADER, "'0.3'"),
        (a_message(headers={"whimbrel-users": "x" * 513}), Reason.BAD_AUDIENCE, "whimbrel-users"),
        (a_message(headers={"whimbrel-groups": "a\x07b"}), Reason.BAD_AUDIENCE, "whimbrel-groups"),
        (a_message(headers={"whimbrel-channels": "orders:42,orders"}), Reason.BAD_AUDIENCE, "'orders'"),
        (a_message(headers={"whimbrel-channels": "orders:*"}), Reason.BAD_AUDIENCE, "'orders:*'"),
        (a_message(headers={"whimbrel-channels": "inbox"}), Reason.BAD_AUDIENCE, "'inbox'"),
        (a_message(b"[]", STRUCTURED), Reason.BAD_EVENT, "JSON object"),
        (a_message(b"", STRUCTURED), Reason.BAD_EVENT, "JSON object"),
        (a_message(b'{"specversion":"1.0","id":"1","source":"s"}', STRUCTURED), Reason.BAD_EVENT, "'type'"),
        (a_message(b'{"specversion":"1.0","id":1,"source":"s","type":"t"}', STRUCTURED), Reason.BAD_EVENT, "'id'"),
        (
            a_message(b'{"specversion":"2.0","id":"1","source":"s","type":"t"}', STRUCTURED),
            Reason.BAD_EVENT,
            "specversion '2.0'",
        ),
        (
            a_message(b'{"specversion":"1.0","id":"1","source":"s","type":"t","time":5}', STRUCTURED),
            Reason.BAD_EVENT,
            "'time'",
        ),
        (
            a_message(b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AA=="}', STRUCTURED),
            Reason.BAD_EVENT,
            "data_base64",
        ),
        (a_message(b"[]", {"Content-Type": "application/cloudevents-batch+json"}), Reason.BAD_EVENT, "one event"),
        (a_message(b"<a/>", {"content-type": "application/cloudevents+xml"}), Reason.NOT_JSON, ""),
    ],
)
def test_a_violation_has_its_reason_and_names_the_culprit(message: Message, reason: Reason, hint: str) -> None:
    found, text = reason_for(message)
    assert found is reason
    assert hint in text


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(ANY_JSON, st.dictionaries(st.text(max_size=6), ANY_JSON, max_size=4), st.sampled_from([None, 0, 2]))
def test_the_member_that_is_cut_out_is_the_member(data: Any, others: dict[str, Any], indent: int | None) -> None:
    text = json.dumps({**others, "data": data}, indent=indent)
    assert json.loads(member(text, "data")) == data
    assert member(json.dumps(others), "missing") == json.dumps(others.get("missing")).encode()


@given(ANY_JSON, st.sampled_from([None, 0, 2]))
def test_every_json_value_arrives_in_a_body_as_it_was(data: Any, indent: int | None) -> None:
    event = parse(a_message(json.dumps(data, indent=indent).encode()), epoch=EPOCH)
    body = encode_body(event.type, event.id, event.time, event.data)
    assert b"\n" not in body
    assert decode_body(body).data == pydantic_core.from_json(json.dumps(data))


@given(
    payload=st.binary(max_size=64) | ANY_JSON.map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "ce-id",
                "ce-type",
                "ce-time",
                "content-type",
                "traceparent",
                "whimbrel-users",
                "whimbrel-groups",
                "whimbrel-channels",
            ]
        ),
        st.text(max_size=40) | st.sampled_from(["application/cloudevents+json", "orders:42", "a,b", TRACEPARENT]),
    ),
    subject=st.text(max_size=30) | st.just("events.shop.order.42"),
)
def test_whatever_comes_is_an_event_or_has_a_reason(payload: bytes, headers: dict[str, str], subject: str) -> None:
    try:
        event = parse(a_message(payload, headers, subject=subject), epoch=EPOCH)
    except Undeliverable:
        return
    assert all(Channel.parse(str(channel)) == channel for channel in event.channels)
    assert event.traceparent in ("", TRACEPARENT)
    json.loads(encode_body(event.type, event.id, event.time, event.data))
