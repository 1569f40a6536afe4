"""What a client is told when channels open, within a frame's budget; and the frames that the edge writes itself."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.edge.people import NOON, a_publication, a_run, alice
from whimbrel.edge.core.effects import Identified
from whimbrel.edge.core.liveness import Terms
from whimbrel.edge.core.replies import (
    connected_frames,
    disconnect_frame,
    error_frame,
    history_frame,
    subscribed_frames,
    unsubscribed_frame,
)
from whimbrel.edge.core.ring import Stored
from whimbrel.edge.core.subscription import INLINE_BYTES, MESSAGE_BYTES, NotOpened, Opened, join, publication_frames
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.frames import Connected, Subscribed, decode_edge

ALICE = Identified(alice(), "grant-1")
BIG = "x" * 100_000


def parsed(messages: list[bytes]) -> list[dict[str, Any]]:
    """Return the frames of ``messages``."""
    found = [json.loads(each) for each in messages]
    return [frame for each in found for frame in (each if isinstance(each, list) else [each])]


def connected(results: Mapping[str, Opened | NotOpened], identified: Identified = ALICE) -> list[bytes]:
    return connected_frames(1, "s1", identified, Terms(), results, wall=NOON)


def a_large_run(count: int, *, after: int = 0) -> list[Stored]:
    return [a_publication(after + at, after + at - 1, BIG) for at in range(1, count + 1)]


# Subscriptions


def test_a_subscription_says_where_its_publications_begin_and_whether_they_are_everything() -> None:
    [frame] = parsed(subscribed_frames("orders:1", Opened("e1", 2, True, a_run(5, 9)), 7))
    assert {name: value for name, value in frame.items() if name != "publications"} == {
        "type": "subscribed",
        "id": 7,
        "channel": "orders:1",
        "epoch": "e1",
        "offset": 2,
        "recovered": True,
    }
    assert [(each["offset"], each["prev"]) for each in frame["publications"]] == [(5, 0), (9, 5)]
    assert all("channel" not in each and "type" not in each for each in frame["publications"])


@pytest.mark.parametrize(("recovered", "told"), [(True, True), (False, False), (None, "absent")])
def test_recovered_is_absent_where_no_position_was_given(recovered: bool | None, told: object) -> None:
    [frame] = parsed(subscribed_frames("orders:1", Opened("e1", 2, recovered), None))
    assert frame.get("recovered", "absent") == told
    assert "id" not in frame


def test_an_ephemeral_channel_has_no_epoch_and_no_offset() -> None:
    [frame] = parsed(subscribed_frames("typing:1", Opened("", 0), 7))
    assert frame == {"type": "subscribed", "id": 7, "channel": "typing:1", "publications": []}


def test_a_refused_channel_says_why() -> None:
    [frame] = parsed(subscribed_frames("orders:1", NotOpened(ErrorCode.UNAVAILABLE, "später"), 7))
    assert frame["error"] == {"code": 108, "slug": "unavailable", "message": "später"}


def test_what_does_not_fit_into_the_frame_follows_it_in_order_and_as_frames_of_its_own() -> None:
    run = a_large_run(8)
    first, *behind = subscribed_frames("orders:1", Opened("e1", 0, True, run), 7)
    assert len(first) < INLINE_BYTES + 1000
    frame = json.loads(first)
    inside = [each["offset"] for each in frame["publications"]]
    after = [each["offset"] for each in parsed(behind)]
    assert inside == [1, 2, 3, 4, 5]
    assert inside + after == list(range(1, 9))
    assert {each["channel"] for each in parsed(behind)} == {"orders:1"}
    assert all(len(message) <= MESSAGE_BYTES + 1000 for message in behind)


def test_a_small_publication_does_not_overtake_a_large_one_into_the_frame() -> None:
    run = [*a_large_run(5), a_publication(6, 5, BIG), a_publication(7, 6, "small")]
    first, *behind = subscribed_frames("orders:1", Opened("e1", 0, True, run), 7)
    assert [each["offset"] for each in json.loads(first)["publications"]] == [1, 2, 3, 4, 5]
    assert [each["offset"] for each in parsed(behind)] == [6, 7]


# Connected


def test_all_channels_of_connected_share_one_budget() -> None:
    results: dict[str, Opened | NotOpened] = {
        "orders:1": Opened("e1", 0, True, a_large_run(4)),
        "orders:2": Opened("e2", 0, True, a_large_run(4)),
        "orders:3": Opened("e3", 0, True, a_run(1)),
        "orders:4": NotOpened(ErrorCode.PERMISSION_DENIED, "no"),
    }
    first, *behind = connected(results)
    assert len(first) < INLINE_BYTES + 2000
    channels = json.loads(first)["channels"]
    seen: dict[str, list[int]] = {
        name: [each["offset"] for each in channels[name].get("publications", ())] for name in channels
    }
    for frame in parsed(behind):
        seen[frame["channel"]].append(frame["offset"])
    assert seen == {"orders:1": [1, 2, 3, 4], "orders:2": [1, 2, 3, 4], "orders:3": [1], "orders:4": []}
    assert channels["orders:4"]["error"]["code"] == 103


def test_connected_is_what_the_contract_says() -> None:
    [message] = connected({"inbox": Opened("e1", 3, None, a_run(4)), "typing:1": Opened("", 0)})
    [frame] = decode_edge(message)
    assert isinstance(frame, Connected)
    assert (frame.user, frame.expires_in, frame.resume) == ("alice", 3600, "grant-1")
    assert (frame.ping, frame.pong, frame.limits.channels, frame.limits.frame_bytes) == (25, 10, 128, 65_536)


def test_without_a_grant_connected_names_none() -> None:
    [frame] = parsed(connected({}, Identified(alice(expires=NOON - 5), None)))
    assert "resume" not in frame
    assert frame["expires_in"] == 0


@pytest.mark.parametrize("text", ['x"y', "x\\", "\x00", "ü", "\u2028", "</script>"])
def test_whatever_a_user_is_called_stays_a_string(text: str) -> None:
    [frame] = parsed(connected({}, Identified(alice()._replace(user=text), text)))
    assert (frame["user"], frame["resume"]) == (text, text)


# Joining


def test_a_single_frame_stays_an_object() -> None:
    assert join([b"{}"]) == [b"{}"]
    assert join([]) == []


def test_frames_are_joined_up_to_256_kib_and_none_is_lost() -> None:
    frames = [b'"%b"' % (b"x" * 100_000)] * 5
    messages = join(frames)
    assert [len(json.loads(each)) for each in messages[:2]] == [2, 2]
    assert messages[2] == frames[0]


def test_a_frame_over_the_size_travels_alone() -> None:
    large = b'"%b"' % (b"x" * MESSAGE_BYTES)
    assert join([b"1", large, b"2"]) == [b"1", large, b"2"]


def test_publications_behind_a_frame_keep_their_traces() -> None:
    traced = a_publication(1, 0)._replace(trace=b"00-abc-def-01")
    [frame] = parsed(publication_frames(b"orders:1", [traced]))
    assert frame["trace"] == "00-abc-def-01"


# The rest


def test_an_error_names_its_code_and_whether_it_is_worth_another_try() -> None:
    refusal = Refused(ErrorCode.RATE_LIMITED, "slowly", retry_ms=500)
    assert json.loads(error_frame(refusal, 7)) == {
        "type": "error",
        "id": 7,
        "code": 109,
        "slug": "rate_limited",
        "message": "slowly",
        "temporary": True,
        "retry_ms": 500,
    }
    assert json.loads(error_frame(Refused(ErrorCode.BAD_REQUEST, "no", frame_id=3), 7))["id"] == 3
    assert "id" not in json.loads(error_frame(Refused(ErrorCode.BAD_REQUEST, "no")))


@pytest.mark.parametrize(("code", "reconnect"), [(CloseCode.DRAINING, True), (CloseCode.PROTOCOL_ERROR, False)])
def test_a_disconnect_says_whether_to_come_back(code: CloseCode, reconnect: bool) -> None:
    frame = json.loads(disconnect_frame(code, "why", 20))
    assert (frame["code"], frame["slug"], frame["reconnect"], frame["after_ms"]) == (code, code.slug, reconnect, 20)


def test_a_history_answer_has_its_epoch_and_publications_without_the_channel() -> None:
    frame = json.loads(history_frame(7, "e1", a_run(3, 5)))
    assert (frame["type"], frame["id"], frame["epoch"]) == ("ok", 7, "e1")
    assert [(each["offset"], each["prev"]) for each in frame["publications"]] == [(3, 0), (5, 3)]


def test_an_unsubscribed_frame_says_why() -> None:
    frame = json.loads(unsubscribed_frame("orders:1", ErrorCode.PERMISSION_DENIED, "you left"))
    assert frame == {
        "type": "unsubscribed",
        "channel": "orders:1",
        "code": 103,
        "slug": "permission_denied",
        "reason": "you left",
    }


@pytest.mark.parametrize("name", ['x"y', "x\\", "\x00", "ü", "\u2028", "</script>"])
def test_whatever_a_client_calls_a_channel_stays_a_string(name: str) -> None:
    [subscribed] = parsed(subscribed_frames(name, NotOpened(ErrorCode.BAD_REQUEST, name), 1))
    assert (subscribed["channel"], subscribed["error"]["message"]) == (name, name)
    [frame] = parsed(connected({name: NotOpened(ErrorCode.BAD_REQUEST, name)}))
    assert list(frame["channels"]) == [name]


def test_a_subscribed_frame_is_what_the_contract_says() -> None:
    for result in (Opened("e1", 2, False), Opened("", 0), NotOpened(ErrorCode.UNKNOWN_CHANNEL, "no")):
        [message] = subscribed_frames("orders:1", result, 3)
        [frame] = decode_edge(message)
        assert isinstance(frame, Subscribed)
