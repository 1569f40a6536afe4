"""The grammar of channels is a border: no text of a user becomes more than one token of a subject."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.protocol.strategies import channels, namespaces
from tests.protocol.vectors import Vector, every
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import (
    CHANNEL_PATTERN,
    Channel,
    channel_for,
    escape_token,
    grant_covers,
    group_channel,
    inbox_of,
    refusal_of,
    shown_to,
)
from whimbrel.protocol.errors import MalformedChannel
from whimbrel.protocol.namespaces import Grant

TOKEN = re.compile(r"[A-Za-z0-9_\-:=@~]{1,128}")  # one token of a subject, nothing that NATS reads as more
any_text = st.text(max_size=200)  # surrogates included: a token's claim may hold them


@every("channels.json", "channels")
def test_a_text_is_a_channel_or_earns_its_code(vector: Vector) -> None:
    if "refused" in vector:
        with pytest.raises(MalformedChannel):
            Channel.parse(vector["text"])
        assert refusal_of(vector["text"]) == vector["refused"]
    else:
        assert Channel.parse(vector["text"]) == (vector["namespace"], vector["name"])


@every("channels.json", "channels")
def test_the_pattern_of_the_schemas_is_the_same_grammar(vector: Vector) -> None:
    known = "refused" not in vector or vector["text"] == "inbox"
    assert bool(re.fullmatch(CHANNEL_PATTERN.removesuffix("$"), vector["text"])) == known


@every("channels.json", "escapes")
def test_a_user_becomes_one_token(vector: Vector) -> None:
    assert escape_token(vector["text"]) == vector["token"]


@every("channels.json", "grants")
def test_a_grant_covers_its_channel_or_its_prefix_and_no_other(vector: Vector) -> None:
    grant = Grant(channel=vector["pattern"], allow=("subscribe",))
    assert grant_covers(grant.channel, Channel.parse(vector["channel"])) == vector["covers"]


@every("channels.json", "bad_grants")
def test_a_grant_outside_the_grammar_is_none(vector: Vector) -> None:
    with pytest.raises(ValidationError):
        Grant(channel=vector["pattern"], allow=("subscribe",))


@given(text=any_text)
@example(text="orders:42\n")
@example(text="orders:4.2")
def test_what_parses_is_written_as_it_was_read(text: str) -> None:
    try:
        channel = Channel.parse(text)
    except MalformedChannel:
        return
    assert str(channel) == text


@given(user=any_text)
@example(user="*")
@example(user=">")
@example(user="a.b")
@example(user="")
@example(user="\ud800")
def test_any_user_has_an_inbox_within_the_grammar(user: str) -> None:
    inbox = inbox_of(user)
    assert Channel.parse(str(inbox)) == inbox
    assert TOKEN.fullmatch(inbox.name)


@given(one=any_text, other=any_text)
@example(one="=2E", other=".")
@example(one="x" * 129, other=escape_token("x" * 129))
@example(one="a=b", other="a=3Db")
def test_two_users_never_share_an_inbox(one: str, other: str) -> None:
    assert (escape_token(one) == escape_token(other)) == (one == other)


@given(text=any_text)
def test_escaping_what_is_escaped_gives_yet_another_user(text: str) -> None:
    """Nobody who may choose a user name can choose one that lands in the inbox of an escaped one."""
    escaped = escape_token(text)
    if escaped != text:
        assert escape_token(escaped) != escaped


@given(user=any_text, group=any_text, channel=channels)
def test_no_text_adds_a_token_to_a_subject(user: str, group: str, channel: Channel) -> None:
    expected = {
        subjects.publish_subject(channel): 3,
        subjects.live_subject(channel): 3,
        subjects.stored_subject(channel, 8): 4,
        subjects.publish_subject(inbox_of(user)): 3,
        subjects.live_subject(group_channel(group)): 3,
        subjects.user_subject(user): 3,
        subjects.membership_key(user, group): 2,
        subjects.readmark_key(user, channel): 3,
    }
    for subject, tokens in expected.items():
        split = subject.split(".")
        assert len(split) == tokens
        assert all(TOKEN.fullmatch(token) for token in split)


@given(channel=channels)
def test_a_channel_comes_back_from_its_live_subject(channel: Channel) -> None:
    assert subjects.channel_of_live(subjects.live_subject(channel)) == channel


@pytest.mark.parametrize("subject", ["live.orders.4.2", "live.orders.*", "live.Orders.42", "live.orders."])
def test_a_stray_live_subject_is_no_channel(subject: str) -> None:
    with pytest.raises(MalformedChannel):
        subjects.channel_of_live(subject)


@given(user=any_text, name=namespaces)
def test_inbox_is_the_callers_own_and_shown_so(user: str, name: str) -> None:
    own = channel_for("inbox", user)
    assert own == inbox_of(user)
    assert shown_to(own, user) == "inbox"
    assert shown_to(own, user + "x") == str(own)
    assert channel_for(f"{name}:1", user) == Channel(name, "1")


def test_a_stored_event_shows_the_subject_that_was_published() -> None:
    assert subjects.event_subject_of_stored("e.3.shop.order.42") == "events.shop.order.42"
