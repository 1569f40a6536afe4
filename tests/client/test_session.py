"""When the session connects, what it says first, when it gives up, and how it renews its token."""

import pytest

from tests.client.talk import a_session, an_open_session, connected, edge, of, sent, subscribe
from whimbrel.client import Closed, RequestFailed, State, StateChange, TokenUnavailable
from whimbrel.client.core.effects import (
    AskToken,
    Changed,
    Dial,
    End,
    HangUp,
    Opened,
    Refreshed,
)
from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.session import Session
from whimbrel.protocol.bodies import PollReply
from whimbrel.protocol.codes import CloseCode
from whimbrel.protocol.frames import (
    Connect,
    Error,
    Expiring,
    Ok,
    Ping,
    Pong,
    Refresh,
)
from whimbrel.protocol.positions import Position

# --- connecting


def test_a_client_asks_for_a_token_dials_and_introduces_itself() -> None:
    session = a_session()
    assert session.start(0) == [Changed(StateChange(State.CONNECTING, transport="websocket")), AskToken()]
    assert session.token("token 1", 0) == [Dial(1, "websocket")]
    subscribe(session, position=Position(epoch="e1", offset=7))
    [connect] = sent(session.opened(1, 0))
    assert isinstance(connect, Connect)
    assert (connect.token, connect.resume) == ("token 1", None)
    assert connect.channels == {"orders:42": Position(epoch="e1", offset=7)}
    channels = {"orders:42": {"epoch": "e1", "offset": 7, "recovered": True, "publications": []}}
    effects = session.received(1, connected(channels=channels), 0)
    assert effects[0] == Changed(StateChange(State.CONNECTED, transport="websocket"))
    assert Opened("orders:42") in effects


def test_a_reconnect_bears_the_grant_and_the_positions() -> None:
    session = an_open_session()
    subscribe(session)
    session.received(1, edge("subscribed", id=2, channel="orders:42", epoch="e1", offset=7), 0)
    session.received(1, edge("resume", grant="grant 2"), 0)
    session.lost(1, Loss(BROKEN, "cut"), 1)
    effects = session.tick(1.5)
    assert of(AskToken, effects) == []  # the token at hand is good for an hour
    [dial] = of(Dial, effects)
    [connect] = sent(session.opened(dial.link, 2))
    assert (connect.token, connect.resume) == ("token 1", "grant 2")
    assert connect.channels == {"orders:42": Position(epoch="e1", offset=7)}


def test_a_loss_is_told_with_code_reason_and_the_next_try() -> None:
    session = an_open_session()
    [change] = of(Changed, session.lost(1, Loss(BROKEN, "the connection broke"), 1))
    assert change.change == StateChange(State.DISCONNECTED, 1006, "the connection broke", retry_s=0.5)
    assert session.deadline == 1.5
    assert of(Dial, session.tick(1.4)) == []
    assert len(of(Dial, session.tick(1.5))) == 1


def test_the_edge_says_when_it_wants_its_clients_back() -> None:
    session = an_open_session()
    farewell = edge("disconnect", code=4008, slug="overloaded", reason="bye", reconnect=True, after_ms=7000)
    effects = session.received(1, farewell, 1)
    assert of(HangUp, effects) == [HangUp(1)]
    assert session.deadline == 8


LEAVING = edge("disconnect", code=4000, slug="draining", reason="bye", reconnect=True, after_ms=7000)


def test_when_the_edge_leaves_the_new_link_is_made_before_the_old_one_breaks() -> None:
    session = an_open_session()
    subscribe(session)
    session.received(1, edge("subscribed", id=2, channel="orders:42", epoch="e1", offset=7), 0)
    assert session.received(1, LEAVING, 1) == []
    assert session.deadline == 8
    assert session.tick(7.9) == []
    [dial] = of(Dial, session.tick(8))
    assert session.state is State.CONNECTED
    assert sent(session.received(1, edge("ping"), 8)) == [Pong()], "the old link goes on"
    [connect] = sent(session.opened(dial.link, 8))
    assert connect.channels == {"orders:42": Position(epoch="e1", offset=7)}
    channels = {"orders:42": {"epoch": "e1", "offset": 7, "recovered": True, "publications": []}}
    effects = session.received(dial.link, connected(channels=channels), 8)
    assert of(HangUp, effects) == [HangUp(1)]
    assert of(Changed, effects) == [], "nobody outside has to know"


def test_a_move_that_fails_is_tried_again_while_the_old_link_serves() -> None:
    session = an_open_session()
    session.received(1, LEAVING, 1)
    [dial] = of(Dial, session.tick(8))
    assert session.lost(dial.link, Loss(BROKEN, "refused"), 8) == []
    assert session.deadline == 8.5
    [again] = of(Dial, session.tick(8.5))
    assert again.link != dial.link
    assert session.state is State.CONNECTED
    session.lost(again.link, Loss(4008, "overloaded", after_s=3, refused=True), 9)
    assert session.deadline == 12, "the edge that refused knows better when it will take it"
    [last] = of(Dial, session.tick(12))
    session.lost(last.link, Loss(4008, "HTTP 503", after_s=4, refused=True, shared=True), 13)
    assert session.deadline == 18, "what a proxy says it says to everybody: up to a quarter more"


def test_an_edge_that_closes_before_the_move_is_due_is_taken_at_its_word() -> None:
    session = an_open_session()
    session.received(1, LEAVING, 1)
    [change] = of(Changed, session.lost(1, Loss(4000, "draining"), 2))
    assert change.change.retry_s == 6


@pytest.mark.parametrize("code", [4500, 4502, 4503, 4507, 4999])
def test_codes_from_4500_on_are_the_end(code: int) -> None:
    session = an_open_session()
    subscribe(session)
    effects = session.lost(1, Loss(code, "no"), 1)
    assert of(Changed, effects) == [Changed(StateChange(State.CLOSED, code, "no"))]
    [end] = of(End, effects)
    assert isinstance(end.error, Closed)
    assert session.deadline is None
    with pytest.raises(Closed, match="no"):
        subscribe(session, "orders:43")


@pytest.mark.parametrize("code", [1006, 1011, 4000, 4008, 4499])
def test_all_other_codes_are_followed_by_another_try(code: int) -> None:
    session = an_open_session()
    session.lost(1, Loss(code, "later"), 1)
    assert session.state is State.DISCONNECTED


def test_a_transport_that_is_switched_off_is_left_and_not_the_end() -> None:
    session = an_open_session()
    session.lost(1, Loss(CloseCode.TRANSPORT_DISABLED, "use polling"), 1)
    [dial] = of(Dial, session.tick(2))
    assert dial.transport == "sse"


def test_an_expired_token_is_replaced_before_the_next_connect() -> None:
    session = an_open_session()
    session.lost(1, Loss(CloseCode.TOKEN_EXPIRED, "expired"), 1)
    assert AskToken() in session.tick(2)
    session.token("token 2", 2)
    [connect] = sent(session.opened(2, 2))
    assert (connect.token, connect.resume) == ("token 2", None)


def test_a_token_near_its_end_is_replaced_before_the_next_connect() -> None:
    session = an_open_session(expires_in=60)
    session.lost(1, Loss(BROKEN, "cut"), 56)
    assert AskToken() in session.tick(57)


def test_a_fixed_token_that_expired_is_the_end() -> None:
    session = a_session(renewable=False)
    session.start(0)
    session.token("token 1", 0)
    session.opened(1, 0)
    session.lost(1, Loss(CloseCode.TOKEN_EXPIRED, "expired"), 1)
    assert session.state is State.CLOSED


@pytest.mark.parametrize(
    ("renewable", "worked", "state"),
    [(True, True, "disconnected"), (True, False, "closed"), (False, True, "closed")],
)
def test_a_token_that_is_refused_is_replaced_where_it_worked_before(renewable: bool, worked: bool, state: str) -> None:
    session = a_session(renewable=renewable)
    session.start(0)
    session.token("token 1", 0)
    session.opened(1, 0)
    if worked:
        session.received(1, connected(), 0)
    session.lost(1, Loss(CloseCode.UNAUTHORIZED, "unknown key"), 1)
    assert session.state is State(state)
    assert (AskToken() in session.tick(30)) == (state == "disconnected")


def test_a_token_that_a_refresh_brought_has_worked_before() -> None:
    session = an_open_session()
    session.refresh()
    [refresh] = sent(session.token("token 2", 2))
    session.received(1, [Ok(id=refresh.id, expires_in=3600)], 3)
    session.lost(1, Loss(CloseCode.UNAUTHORIZED, "unknown key"), 4)
    assert session.state is State.DISCONNECTED
    assert AskToken() in session.tick(30)


def polled(session: Session, *, now: float) -> None:
    poll = session.poll(1, now)
    assert poll is not None
    session.polled(1, poll, PollReply(frames=(), channels={}), now)


def test_a_token_that_a_poll_bore_has_worked_before() -> None:
    session = a_session("poll")
    session.start(0)
    session.token("token 1", 0)
    polled(session, now=1)
    session.refresh()
    assert session.token("token 2", 2) == [Refreshed(None)]
    polled(session, now=3)
    session.lost(1, Loss(CloseCode.UNAUTHORIZED, "unknown key", refused=True), 4)
    assert session.state is State.DISCONNECTED
    assert AskToken() in session.tick(30)


def test_where_nobody_is_signed_in_any_more_the_client_closes() -> None:
    session = an_open_session()
    session.refresh()
    [*_, change] = session.token(None, 1)
    assert change == Changed(StateChange(State.CLOSED, 4501, "the token provider has no token: nobody is signed in"))


def test_without_a_token_the_client_tries_again_later() -> None:
    session = a_session()
    session.start(0)
    [change] = of(Changed, session.token_failed("the provider failed", 1))
    assert (change.change.state, change.change.code, change.change.retry_s) == (State.DISCONNECTED, 3000, 0.5)
    assert AskToken() in session.tick(1.5)


# --- silence


def test_silence_beyond_ping_and_pong_is_a_loss() -> None:
    session = an_open_session(ping=25, pong=10)
    session.received(1, [Pong()], 10)
    assert session.tick(44.9) == []
    effects = session.tick(45)
    assert HangUp(1) in effects
    [change] = of(Changed, effects)
    assert change.change.reason == "no frame for 35 s"


def test_a_ping_is_answered() -> None:
    assert sent(an_open_session().received(1, [Ping()], 1)) == [Pong()]


def test_a_transport_without_an_answer_for_four_seconds_is_left_at_once() -> None:
    session = a_session()
    session.start(0)
    session.token("token 1", 0)
    assert session.deadline == 4
    effects = session.tick(4)
    assert HangUp(1) in effects
    assert of(Dial, effects) == [Dial(2, "sse")]


def test_an_open_socket_that_never_says_connected_is_given_up() -> None:
    session = a_session()
    session.start(0)
    session.token("token 1", 0)
    session.opened(1, 1)
    assert session.tick(4.9) == []
    assert HangUp(1) in session.tick(5)


def test_one_that_has_said_it_before_is_given_more_time() -> None:
    session = an_open_session()
    session.lost(1, Loss(1006, "broken"), 20)
    session.tick(21)
    session.opened(2, 21)
    assert HangUp(2) not in session.tick(28.9)
    assert HangUp(2) in session.tick(29)


def test_an_edge_that_refuses_the_upgrade_does_not_count_against_the_transport() -> None:
    session = a_session()
    session.start(0)
    session.token("token 1", 0)
    for link in (1, 2, 3):
        session.lost(link, Loss(CloseCode.OVERLOADED, "full", after_s=1, refused=True), link)
        [dial] = of(Dial, session.tick(link + 1))
        assert dial.transport == "websocket"


# --- tokens


def test_an_expiring_token_is_renewed_in_place() -> None:
    session = an_open_session()
    assert session.received(1, [Expiring(in_s=30)], 1) == [AskToken()]
    assert session.received(1, [Expiring(in_s=29)], 1) == []  # one at a time
    [refresh] = sent(session.token("token 2", 2))
    assert isinstance(refresh, Refresh)
    assert refresh.token == "token 2"
    assert session.received(1, [Ok(id=refresh.id, expires_in=3600)], 3) == [Refreshed(None)]


def test_a_refresh_that_fails_for_a_while_is_repeated() -> None:
    session = an_open_session()
    session.refresh()
    [refresh] = sent(session.token("token 2", 2))
    error = Error(id=refresh.id, code=108, slug="unavailable", message="auth is away", temporary=True, retry_ms=3000)
    [refreshed] = session.received(1, [error], 3)
    assert isinstance(refreshed, Refreshed)
    assert isinstance(refreshed.error, RequestFailed)
    assert session.deadline == 6
    assert session.tick(6) == [AskToken()]


def test_a_provider_that_fails_at_a_refresh_is_asked_again() -> None:
    session = an_open_session()
    session.refresh()
    [refreshed] = session.token_failed("down", 2)
    assert isinstance(refreshed, Refreshed)
    assert isinstance(refreshed.error, TokenUnavailable)
    assert session.tick(3) == [AskToken()]
