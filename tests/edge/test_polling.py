"""What a poll answers."""

import json
from typing import Any

from tests.edge.people import EPOCH, a_run
from whimbrel.edge.core.effects import Wanted
from whimbrel.edge.core.polling import EPHEMERAL, PollAnswer, answer_poll
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.positions import Position


def asked(name: str, offset: int | None = None, epoch: str = EPOCH) -> Wanted:
    at = None if offset is None else Position(epoch=epoch, offset=offset)
    return Wanted(name, Channel.parse(name), at)


def body(answer: PollAnswer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.encode())
    return found


def test_publications_after_a_position_come_as_frames_and_move_it() -> None:
    answer = body(answer_poll([(asked("orders:1", 3), Opened(EPOCH, 3, True, a_run(5, 9)))], limit=100))
    assert [(frame["type"], frame["channel"], frame["offset"]) for frame in answer["frames"]] == [
        ("publication", "orders:1", 5),
        ("publication", "orders:1", 9),
    ]
    assert answer["channels"] == {"orders:1": {"epoch": EPOCH, "offset": 9}}


def test_nothing_new_is_an_empty_answer_with_the_same_position() -> None:
    answer = body(answer_poll([(asked("orders:1", 3), Opened(EPOCH, 3, True))], limit=100))
    assert answer == {"frames": [], "channels": {"orders:1": {"epoch": EPOCH, "offset": 3}}}


def test_a_channel_without_a_position_is_announced_and_its_publications_follow_as_frames() -> None:
    subscribed, publication = body(answer_poll([(asked("orders:1"), Opened(EPOCH, 3, None, a_run(5)))], limit=100))[
        "frames"
    ]
    assert (subscribed["type"], subscribed["offset"], subscribed["publications"]) == ("subscribed", 3, [])
    assert "recovered" not in subscribed
    assert publication["offset"] == 5


def test_a_channel_that_is_not_proved_complete_is_announced_as_such() -> None:
    answer = body(answer_poll([(asked("orders:1", 3, "old"), Opened(EPOCH, 9, False))], limit=100))
    assert answer["frames"][0]["recovered"] is False
    assert answer["channels"]["orders:1"] == {"epoch": EPOCH, "offset": 9}


def test_a_refused_channel_is_announced_and_not_to_be_asked_for_again() -> None:
    answer = body(answer_poll([(asked("orders:1"), NotOpened(ErrorCode.PERMISSION_DENIED, "no"))], limit=100))
    assert answer["frames"][0]["error"]["code"] == 103
    assert answer["channels"] == {}


def test_the_limit_counts_over_all_channels_and_the_rest_waits_for_the_next_poll() -> None:
    results = [
        (asked("orders:1", 0), Opened(EPOCH, 0, True, a_run(1, 2, 3))),
        (asked("orders:2", 0), Opened(EPOCH, 0, True, a_run(4, 5, 6))),
        (asked("orders:3", 0), Opened(EPOCH, 0, True, a_run(7))),
    ]
    answer = body(answer_poll(results, limit=5))
    assert [frame["offset"] for frame in answer["frames"]] == [1, 2, 3, 4, 5]
    assert {name: at["offset"] for name, at in answer["channels"].items()} == {
        "orders:1": 3,
        "orders:2": 5,
        "orders:3": 0,
    }


def test_an_ephemeral_channel_is_announced_once() -> None:
    first = answer_poll([(asked("typing:1"), Opened("", 0))], limit=100)
    assert [frame["type"] for frame in body(first)["frames"]] == ["subscribed"]
    assert first.positions == {"typing:1": EPHEMERAL}
    again = Wanted("typing:1", Channel("typing", "1"), EPHEMERAL)
    assert answer_poll([(again, Opened("", 0))], limit=100).frames == []


def test_a_position_that_nobody_knows_yet_is_null() -> None:
    assert body(PollAnswer([], {"inbox": None}))["channels"] == {"inbox": None}
