"""What time asks of a session."""

from whimbrel.edge.core.liveness import Due, Liveness, Terms

TERMS = Terms(ping=25, pong=10, connect_timeout=8)
FAR = 1e9  # Unix seconds: a token that does not expire in these tests


def a_liveness() -> Liveness:
    return Liveness(now=100.0)


def test_who_is_not_open_by_then_is_late_whatever_was_heard() -> None:
    liveness = a_liveness()
    liveness.heard(now=107.0)
    assert liveness.overdue(TERMS) == 108.0
    assert not liveness.late(TERMS, now=107.9)
    assert liveness.late(TERMS, now=108.0)


def test_a_ping_is_due_after_silence_and_the_end_after_a_ping_without_answer() -> None:
    liveness = a_liveness()
    assert liveness.next_due(TERMS, expires=FAR, now=100.0, wall=0) == 125.0
    assert liveness.due(TERMS, expires=FAR, now=124.9, wall=0) == ()
    assert liveness.due(TERMS, expires=FAR, now=125.0, wall=0) == (Due.PING,)
    assert liveness.due(TERMS, expires=FAR, now=126.0, wall=0) == (), "one ping at a time"
    assert liveness.next_due(TERMS, expires=FAR, now=126.0, wall=0) == 135.0
    assert liveness.due(TERMS, expires=FAR, now=135.0, wall=0) == (Due.SILENT,)


def test_any_sign_of_life_answers_the_ping() -> None:
    liveness = a_liveness()
    liveness.due(TERMS, expires=FAR, now=125.0, wall=0)
    liveness.heard(now=134.0)
    assert liveness.due(TERMS, expires=FAR, now=140.0, wall=0) == ()
    assert liveness.next_due(TERMS, expires=FAR, now=140.0, wall=0) == 159.0


def test_a_loop_that_stood_still_pings_before_it_gives_anybody_up() -> None:
    liveness = a_liveness()
    assert liveness.due(TERMS, expires=FAR, now=1000.0, wall=0) == (Due.PING,)


def test_the_tokens_end_is_announced_30_s_before_and_comes_25_s_after() -> None:
    liveness = a_liveness()
    liveness.heard(now=150.0)
    assert liveness.next_due(TERMS, expires=1060, now=150.0, wall=1020) == 160.0
    assert liveness.due(TERMS, expires=1060, now=159.0, wall=1029) == ()
    assert liveness.due(TERMS, expires=1060, now=160.0, wall=1030) == (Due.NOTICE,)
    assert liveness.due(TERMS, expires=1060, now=161.0, wall=1031) == ()
    assert liveness.next_due(TERMS, expires=1060, now=170.0, wall=1080) == 175.0
    assert liveness.due(TERMS, expires=1060, now=174.0, wall=1084) == ()
    assert liveness.due(TERMS, expires=1060, now=180.0, wall=1085) == (Due.EXPIRED,)


def test_a_renewed_token_is_announced_anew() -> None:
    liveness = a_liveness()
    liveness.due(TERMS, expires=1060, now=101.0, wall=1040)
    liveness.renewed()
    assert liveness.due(TERMS, expires=1100, now=102.0, wall=1041) == ()
    assert liveness.due(TERMS, expires=1100, now=103.0, wall=1070) == (Due.NOTICE,)


def test_a_clock_that_was_set_forward_ends_only_what_has_expired() -> None:
    liveness = a_liveness()
    assert liveness.due(TERMS, expires=1060, now=101.0, wall=1000) == ()
    assert liveness.due(TERMS, expires=1060, now=102.0, wall=9999) == (Due.EXPIRED,)


def test_the_notice_and_a_ping_may_be_due_at_once() -> None:
    assert a_liveness().due(TERMS, expires=1060, now=125.0, wall=1031) == (Due.NOTICE, Due.PING)
