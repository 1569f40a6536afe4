"""What the session does for channels, requests and other transports."""

import pytest

from tests.client.talk import a_session, an_open_session, connected, edge, of, sent, subscribe
from whimbrel.client import Misuse, RequestFailed, State, StateChange
from whimbrel.client.core.effects import (
    Answer,
    Changed,
    Deliver,
    Dial,
    End,
    HangUp,
    Opened,
)
from whimbrel.client.core.link import BROKEN, Loss, loss_of_problem
from whimbrel.protocol.bodies import PollReply
from whimbrel.protocol.frames import (
    Ack,
    Connected,
    Ok,
    Ping,
    Policy,
    Resume,
    Subscribe,
    Unsubscribe,
)
from whimbrel.protocol.positions import Position

# --- channels


def test_a_channel_is_subscribed_to_on_the_open_connection() -> None:
    session = an_open_session()
    [frame] = sent(subscribe(session, last=5))
    assert isinstance(frame, Subscribe)
    assert (frame.channel, frame.position, frame.last) == ("orders:42", None, 5)
    answer = edge("subscribed", id=frame.id, channel="orders:42", epoch="e1", offset=7, publications=[])
    assert session.received(1, answer, 1)[0] == Opened("orders:42")


def test_last_is_asked_for_after_the_connect_because_connect_cannot_say_it() -> None:
    session = a_session()
    session.start(0)
    session.token("token 1", 0)
    subscribe(session, last=5)
    [connect] = sent(session.opened(1, 0))
    assert connect.channels == {}
    [frame] = sent(session.received(1, connected(), 0))
    assert (frame.channel, frame.last) == ("orders:42", 5)


def test_one_channel_has_one_subscription() -> None:
    session = an_open_session()
    subscribe(session)
    with pytest.raises(Misuse, match="share that subscription"):
        subscribe(session)


def test_a_refused_channel_ends_and_the_others_stay() -> None:
    session = an_open_session()
    [frame] = sent(subscribe(session))
    error = edge("error", id=frame.id, code=103, slug="permission_denied", message="no", temporary=False)
    [end] = session.received(1, error, 1)
    assert isinstance(end, End)
    assert isinstance(end.error, RequestFailed)
    assert session.state is State.CONNECTED


def test_a_channel_that_is_unavailable_for_a_while_is_asked_for_again() -> None:
    session = an_open_session()
    [frame] = sent(subscribe(session))
    error = edge("error", id=frame.id, code=108, slug="unavailable", message="away", temporary=True, retry_ms=3000)
    assert session.received(1, error, 1) == []
    assert session.deadline == 4
    [again] = sent(session.tick(4))
    assert isinstance(again, Subscribe)


def test_a_channel_that_the_edge_thinks_open_is_closed_and_opened() -> None:
    session = an_open_session()
    [frame] = sent(subscribe(session))
    error = edge("error", id=frame.id, code=104, slug="already_subscribed", message="open", temporary=False)
    assert [type(each) for each in sent(session.received(1, error, 1))] == [Unsubscribe, Subscribe]


def test_a_slow_application_stops_its_channel_and_not_the_others() -> None:
    session = an_open_session()
    subscribe(session, capacity=1)
    session.received(1, edge("subscribed", id=2, channel="orders:42", epoch="e1", offset=0), 0)
    publication = {"channel": "orders:42", "event": "e", "event_id": "1", "time": "t", "data": None}
    assert len(of(Deliver, session.received(1, edge("publication", **publication, offset=1, prev=0), 1))) == 1
    [stop] = sent(session.received(1, edge("publication", **publication, offset=2, prev=1), 1))
    assert isinstance(stop, Unsubscribe)
    [again] = sent(session.taken("orders:42", 1, 2))
    assert (again.channel, again.position) == ("orders:42", Position(epoch="e1", offset=1))


def test_a_slow_inbox_is_read_again_over_a_new_connection_for_the_edge_never_lets_go_of_it() -> None:
    session = a_session()
    session.start(0)
    session.token("token 1", 0)
    subscribe(session, "inbox", capacity=1)
    session.opened(1, 0)
    session.received(1, connected(channels={"inbox": {"epoch": "e1", "offset": 0, "publications": []}}), 0)
    publication = {"channel": "inbox", "event": "e", "event_id": "1", "time": "t", "data": None}
    session.received(1, edge("publication", **publication, offset=1, prev=0), 1)
    assert session.received(1, edge("publication", **publication, offset=2, prev=1), 1) == []
    [again] = sent(session.taken("inbox", 1, 2))
    error = edge("error", id=again.id, code=104, slug="already_subscribed", message="open", temporary=False)
    assert session.received(1, error, 2) == [Dial(2, "websocket")]
    [connect] = sent(session.opened(2, 2))
    assert connect.channels == {"inbox": Position(epoch="e1", offset=1)}
    recovered = {"epoch": "e1", "offset": 1, "recovered": True, "publications": []}
    effects = session.received(2, connected(channels={"inbox": recovered}), 2)
    assert HangUp(1) in effects
    assert of(Changed, effects) == []


def test_a_right_that_ended_ends_the_channel() -> None:
    session = an_open_session()
    subscribe(session)
    session.received(1, edge("subscribed", id=2, channel="orders:42", epoch="e1", offset=0), 0)
    gone = edge("unsubscribed", channel="orders:42", code=103, slug="permission_denied", reason="left the group")
    [end] = session.received(1, gone, 1)
    assert isinstance(end, End)
    assert "left the group" in str(end.error)


def test_groups_are_heard_by_who_asked_for_all_that_is_granted() -> None:
    session = an_open_session(channels={"inbox": {"epoch": "e1", "offset": 0, "publications": []}})
    session.grant(10, 0)
    session.received(1, edge("subscribed", channel="group:vip", epoch="e2", offset=5), 1)
    publication = {"event": "e", "event_id": "1", "time": "t", "data": None, "offset": 6}
    for channel, prev in (("group:vip", 5), ("inbox", 0)):
        frame = edge("publication", channel=channel, prev=prev, **publication)
        [delivered] = of(Deliver, session.received(1, frame, 1))
        assert delivered.event is not None
    left = edge("unsubscribed", channel="group:vip", code=103, slug="permission_denied", reason="left")
    assert session.received(1, left, 2) == []


# --- requests


def test_a_request_is_answered_across_a_lost_connection() -> None:
    session = an_open_session()
    ack = Ack(id=session.new_request_id(), channel="orders:42", offset=7)
    assert ack.id is not None
    assert sent(session.request(ack.id, ack)) == [ack]
    session.lost(1, Loss(BROKEN, "cut"), 1)
    session.tick(2)
    session.opened(2, 2)
    assert sent(session.received(2, connected(), 2)) == [ack]
    answer = Ok(id=ack.id, offset=7)
    assert session.received(2, [answer], 3) == [Answer(ack.id, answer)]
    assert session.received(2, [answer], 3) == []


def test_a_request_waits_for_the_connection() -> None:
    session = a_session()
    session.start(0)
    ack = Ack(id=99, channel="orders:42", offset=7)
    assert session.request(99, ack) == []
    session.forget(99)
    session.token("token 1", 0)
    session.opened(1, 0)
    assert sent(session.received(1, connected(), 0)) == []


# --- other transports


def test_a_better_transport_is_tried_in_the_background_and_takes_over_once_it_is_up() -> None:
    session = a_session()
    session.start(0)
    session.token("token 1", 0)
    session.tick(4)
    poll = session.poll(2, 4)
    assert poll is not None
    assert poll.wait_s == 0
    session.polled(2, poll, PollReply(frames=(), channels={}), 5)
    assert session.state is State.CONNECTED
    assert session.deadline == 5 + 450  # 300 s, jittered by half
    assert session.tick(455) == [Dial(3, "websocket")]
    session.opened(3, 456)
    effects = session.received(3, connected(), 456)
    assert HangUp(2) in effects
    assert Changed(StateChange(State.CONNECTED, transport="websocket")) in effects


def test_a_policy_moves_the_client_make_before_break() -> None:
    session = an_open_session()
    heartbeat = {"ping": 25, "pong": 10}
    advice = {"transports": ["poll", "websocket"], "heartbeat": heartbeat, "poll": {"interval": 5}}
    policy = Policy.model_validate(advice)
    assert session.received(1, [policy], 1) == [Dial(2, "poll")]
    assert session.lost(2, Loss(BROKEN, "no"), 2) == []
    assert session.state is State.CONNECTED


def test_closing_hangs_up_and_ends_everything() -> None:
    session = an_open_session()
    subscribe(session)
    assert session.close() == [
        HangUp(1),
        End("orders:42", None),
        Changed(StateChange(State.CLOSED, 1000, "closed by the application")),
    ]
    assert session.close() == []
    assert session.received(1, [Ping()], 1) == []


@pytest.mark.parametrize(
    ("status", "code", "loss"),
    [
        (401, 101, Loss(4501, "d", refused=True)),
        (401, 110, Loss(4010, "d", refused=True)),
        (401, 4503, Loss(4503, "d", refused=True)),
        (403, 103, Loss(4502, "d", refused=True)),
        (403, None, Loss(1006, "d", shared=True)),  # a proxy has no say about the user
        (429, None, Loss(4009, "d", refused=True, shared=True)),
        (503, 108, Loss(4008, "d", refused=True)),
        (503, 4000, Loss(4000, "d", refused=True)),
        (404, None, Loss(1006, "d", shared=True)),
        (502, None, Loss(1006, "d", shared=True)),
    ],
)
def test_http_refusals_mean_what_the_close_codes_mean(status: int, code: int | None, loss: Loss) -> None:
    assert loss_of_problem(status, code, "d", None) == loss


def test_a_newer_grant_replaces_the_one_before() -> None:
    session = an_open_session()
    session.received(1, [Resume(grant="grant 9")], 1)
    session.lost(1, Loss(BROKEN, "cut"), 1)
    [dial] = of(Dial, session.tick(2))
    [connect] = sent(session.opened(dial.link, 2))
    assert connect.resume == "grant 9"


def test_frames_of_a_link_that_was_given_up_do_not_count() -> None:
    session = an_open_session()
    session.lost(1, Loss(BROKEN, "cut"), 1)
    assert session.received(1, connected(), 2) == []
    assert isinstance(connected()[0], Connected)
