"""What a poll answers."""

import json
from typing import Any

import pytest

from tests.edge.people import EPOCH, a_publication, a_run
from whimbrel.edge.core.effects import Wanted
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.polling import EPHEMERAL, Ask, PollAnswer, answer_poll, at_head, news
from whimbrel.edge.core.ring import Ring
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


# From the rings alone


def a_channel(name: str = "orders:1", head: int = 3, *, durable: bool = True) -> LiveChannel:
    live = LiveChannel(Channel.parse(name), durable=durable, epoch=EPOCH if durable else "", now=0)
    live.ring = Ring(head) if durable else None
    live.opened = True
    return live


def an_ask(*names: str, offset: int = 3, limit: int = 100) -> Ask:
    return Ask({name: Position(epoch=EPOCH, offset=offset) for name in names}, 25, limit)


@pytest.mark.parametrize(
    ("epoch", "offset", "opened", "at"),
    [
        (EPOCH, 3, True, True),
        (EPOCH, 2, True, False),
        (EPOCH, 4, True, False),
        ("old", 3, True, False),
        (EPOCH, 3, False, False),
    ],
)
def test_a_client_has_everything_at_the_head_of_this_history_and_nowhere_else(
    epoch: str, offset: int, opened: bool, at: bool
) -> None:
    live = a_channel()
    live.opened = opened
    assert at_head(live, Position(epoch=epoch, offset=offset)) is at


def test_nothing_is_missed_in_an_ephemeral_channel_that_the_client_knows_to_be_open() -> None:
    typing = a_channel("typing:1", durable=False)
    assert at_head(typing, EPHEMERAL)
    assert not at_head(typing, Position(epoch=EPOCH, offset=3))


def test_news_are_what_the_openings_would_have_found() -> None:
    first, second = a_channel("orders:1"), a_channel("orders:2")
    ask = an_ask("orders:1", "orders:2")
    assert news(ask, [first, second], []) == b""
    for offset, prev in ((5, 3), (9, 5)):
        first.accept(a_publication(offset, prev))
    told = news(ask, [first, second], [])
    asked_for = [(asked("orders:1", 3), Opened(EPOCH, 3, True, first.ring.since(3) or ()))] if first.ring else []
    assert told == answer_poll([*asked_for, (asked("orders:2", 3), Opened(EPOCH, 3, True))], limit=100).encode()


def test_news_of_an_ephemeral_channel_are_what_was_heard() -> None:
    typing = a_channel("typing:1", durable=False)
    ask = Ask({"typing:1": EPHEMERAL}, 25, 100)
    assert news(ask, [typing], []) == b""
    told = json.loads(news(ask, [typing], [b'{"type":"publication"}']) or b"null")
    assert told == {
        "frames": [{"type": "publication"}],
        "channels": {"typing:1": {"epoch": "ephemeral", "offset": 0}},
    }


def test_where_the_rings_do_not_say_all_more_is_asked() -> None:
    live = a_channel(head=0)
    ask = an_ask("orders:1", offset=0, limit=2)
    for each in a_run(1, 2):
        live.accept(each)
    assert news(ask, [live], [])
    assert news(ask, [live], [b"{}"]) is None, "over the limit with what was heard"
    live.accept(a_publication(3, 2))
    assert news(ask, [live], []) is None, "over the limit"
    live = a_channel()
    live.begin_anew("e2", 0)
    assert news(an_ask("orders:1"), [live], []) is None, "another history"
    live = a_channel()
    live.gone = True
    assert news(an_ask("orders:1"), [live], []) is None, "the pod holds it no more"
    live = a_channel(head=0)
    for each in a_run(*range(1, 130)):
        live.accept(each)
    assert news(an_ask("orders:1", offset=0, limit=1000), [live], []) is None, "the ring does not reach back"
