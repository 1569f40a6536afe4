"""What is sent: publications with stable identities, and dead letters that lose nothing."""

from tests.notifier.events import EPOCH, a_message, an_event
from whimbrel.notifier.core.audience import Target
from whimbrel.notifier.core.composition import dead_letter, publications
from whimbrel.notifier.core.errors import Reason
from whimbrel.protocol.channels import Channel
from whimbrel.runtime.catalogue import MAX_MESSAGE_BYTES
from whimbrel.runtime.wire import encode_headers

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ORDER = Target(Channel("orders", "42"), True)
TYPING = Target(Channel("typing", "42"), False)


def test_a_durable_target_gets_a_publication_with_an_id_that_is_the_same_each_time() -> None:
    event = an_event({"n": 1}, {"ce-id": "e-1", "ce-type": "order.paid", "ce-time": "2026-11-23T06:00:00Z"})
    (one,) = publications(event, [ORDER], a_message(sequence=7), epoch=EPOCH)
    assert (one.subject, one.headers, one.key, one.sequence) == (
        "pub.orders.42",
        {"Nats-Msg-Id": "5eed-7-orders:42"},
        "orders:42",
        7,
    )
    assert one.body == b'{"event":"order.paid","event_id":"e-1","time":"2026-11-23T06:00:00Z","data":{"n":1}}'


def test_an_ephemeral_target_is_told_live_and_has_no_id() -> None:
    (one,) = publications(an_event(), [TYPING], a_message(), epoch=EPOCH)
    assert (one.subject, one.headers, one.durable) == ("live.typing.42", {}, False)


def test_the_trace_travels_only_where_there_is_one() -> None:
    (one,) = publications(an_event(), [ORDER], a_message(), epoch=EPOCH, traceparent=TRACEPARENT)
    assert one.headers["traceparent"] == TRACEPARENT


def test_a_dead_letter_is_the_event_as_it_came_and_why() -> None:
    message = a_message(b"not json", {"ce-id": "e-1", "Nats-Msg-Id": "shop/e-1", "Nats-TTL": "1s", "X-Any": "é"})
    letter = dead_letter(message, Reason.NOT_JSON, "the payload is not JSON:\nline 1", epoch=EPOCH, max_bytes=10_000)
    assert (letter.subject, letter.body) == ("dlq.notifier", b"not json")
    assert letter.headers == {
        "ce-id": "e-1",
        "X-Any": "é",
        "Nats-Msg-Id": "5eed-7-dlq",
        "whimbrel-reason-code": "not_json",
        "whimbrel-reason": "the payload is not JSON: line 1",
        "whimbrel-subject": "events.shop.order.42",
        "whimbrel-sequence": "7",
    }


def test_nobody_can_forge_the_reason_of_a_dead_letter() -> None:
    message = a_message(headers={"whimbrel-reason-code": "forged", "bad name": "x", "näme": "x"})
    letter = dead_letter(message, Reason.UNROUTABLE, "no route", epoch=EPOCH, max_bytes=10_000)
    assert letter.headers["whimbrel-reason-code"] == "unroutable"
    encode_headers(letter.headers)


def test_a_dead_letter_that_would_be_too_large_leaves_out_the_payload_then_the_headers() -> None:
    large = a_message(b"x" * 300_000, {"ce-id": "e-1", "whimbrel-users": "u" * 60_000})
    letter = dead_letter(large, Reason.TOO_LARGE, "too large", epoch=EPOCH, max_bytes=MAX_MESSAGE_BYTES)
    assert (letter.body, letter.headers["ce-id"]) == (b"", "e-1")
    letter = dead_letter(large, Reason.TOO_LARGE, "too large", epoch=EPOCH, max_bytes=50_000)
    assert (letter.body, "ce-id" in letter.headers) == (b"", False)
    assert letter.headers["whimbrel-sequence"] == "7"


def test_a_dead_letter_stays_below_what_jetstream_takes_as_headers() -> None:
    message = a_message(b"1", {"whimbrel-users": "u" * 60_000, "whimbrel-groups": "g" * 5_000})
    letter = dead_letter(message, Reason.UNROUTABLE, "no route", epoch=EPOCH, max_bytes=MAX_MESSAGE_BYTES)
    assert (letter.body, "whimbrel-users" in letter.headers) == (b"1", False)


def test_a_long_reason_is_cut() -> None:
    letter = dead_letter(a_message(), Reason.BAD_TARGET, "x" * 5000, epoch=EPOCH, max_bytes=10_000)
    assert len(letter.headers["whimbrel-reason"]) == 500


def test_a_dead_letter_takes_the_place_of_a_refused_publication_as_the_window_counts_it() -> None:
    (refused,) = publications(an_event(), [ORDER], a_message(), epoch=EPOCH)
    size = refused.size
    letter = dead_letter(a_message(), Reason.TOO_LARGE, "too large", epoch=EPOCH, max_bytes=10_000, forgotten_at=90)
    refused.become(letter)
    assert (refused.id, refused.subject, refused.forgotten_at) == (letter.id, letter.subject, 90)
    assert (refused.key, refused.size) == ("orders:42", size)
