"""Which channels the pod holds, and who is in each."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.edge.people import Patient, a_publication, a_run
from whimbrel.edge.core.hub import LINGER_S, Hub, LiveChannel, Write
from whimbrel.edge.core.ring import Ring, Verdict
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.publications import encode_body

BODY = encode_body("typed", "1", "2026-01-01T00:00:00Z", b"1")
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def a_channel(name: str = "orders:42", *, head: int | None = 0, durable: bool = True) -> LiveChannel:
    live = LiveChannel(Channel.parse(name), durable=durable, epoch="e1" if durable else "", now=0)
    if head is not None and durable:
        live.ring = Ring(head)
    return live


def a_hub(*lives: LiveChannel) -> Hub:
    hub = Hub()
    hub.channels.update({live.channel: live for live in lives})
    return hub


def ignore(_: object, __: object = None) -> None: ...


def test_a_publication_is_encoded_once_under_the_name_that_clients_use() -> None:
    live = a_channel("user:alice")
    assert live.accept(a_publication(3, 0, "hello")) is Verdict.NEXT
    [frame] = live.pending
    assert json.loads(frame) == {
        "type": "publication",
        "channel": "inbox",
        "offset": 3,
        "prev": 0,
        "event": "changed",
        "event_id": "event-3",
        "time": "2026-01-01T00:00:00Z",
        "data": "hello",
    }


def test_a_duplicate_or_a_gap_is_not_written_but_remembered_as_known() -> None:
    live = a_channel(head=10)
    assert live.accept(a_publication(9, 8)) is Verdict.DUPLICATE
    assert not live.behind
    assert live.accept(a_publication(20, 15)) is Verdict.GAP
    assert live.pending == []
    assert live.behind
    assert live.newest == 20
    for each in (a_publication(15, 10), a_publication(20, 15)):
        live.accept(each)
    assert not live.behind


def test_what_comes_before_the_head_is_known_is_not_lost() -> None:
    live = a_channel(head=None)
    assert live.accept(a_publication(20, 15)) is Verdict.GAP
    assert not live.behind, "nobody can tell yet"
    live.ring = Ring(15)
    assert live.behind


def test_a_sampled_trace_is_written_and_kept_for_the_span() -> None:
    live = a_channel()
    live.accept(a_publication(1, 0)._replace(trace=TRACE))
    assert json.loads(live.pending[0])["trace"] == TRACE.decode()
    assert live.traces == (TRACE,)


def test_an_ephemeral_publication_has_no_position() -> None:
    live = a_channel("typing:42", durable=False)
    live.accept_ephemeral(BODY, b"")
    live.accept_ephemeral(BODY, TRACE)
    first, second = map(json.loads, live.pending)
    assert "offset" not in first
    assert "trace" not in first
    assert second["trace"] == TRACE.decode()
    assert live.now().durable is False


def test_a_channel_begun_anew_tells_everybody_to_reload_behind_what_they_were_sent() -> None:
    live = a_channel()
    live.accept(a_publication(1, 0))
    live.begin_anew("e2", 7)
    sent = [json.loads(frame) for frame in live.pending]
    assert [frame["type"] for frame in sent] == ["publication", "subscribed"]
    assert sent[1] == {
        "type": "subscribed",
        "channel": "orders:42",
        "epoch": "e2",
        "offset": 7,
        "recovered": False,
        "publications": [],
    }
    assert not live.behind
    assert (live.now().epoch, live.now().offset) == ("e2", 7)
    assert live.accept(a_publication(8, 7)) is Verdict.NEXT


def test_the_audience_is_who_is_attached_now() -> None:
    live = a_channel()
    hub = a_hub(live)
    writes = [ignore, lambda data: None]
    live.join("a", writes[0])
    live.join("b", writes[1])
    audience = live.audience
    assert audience == tuple(writes)
    assert live.audience is audience, "made once, as long as nobody comes or goes"
    hub.detach(live, "a", now=1)
    assert live.audience == (writes[1],)
    assert audience == tuple(writes), "a fan-out under way keeps its own"


def test_attaching_twice_delivers_once() -> None:
    live = a_channel()
    hub = a_hub(live)
    live.join("a", ignore)
    live.join("a", ignore)
    assert len(live.audience) == 1
    hub.detach(live, "a", now=1)
    hub.detach(live, "a", now=2)
    assert len(live.audience) == 0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=20))
def test_the_audience_is_who_came_and_did_not_leave_in_the_order_in_which_they_came(
    steps: list[tuple[bool, str]],
) -> None:
    hub, live = Hub(), LiveChannel(Channel("orders", "1"), durable=False, epoch="", now=0.0)
    received: dict[str, list[bytes]] = {name: [] for name in "abc"}
    writes: dict[str, Write] = {name: into.append for name, into in received.items()}
    here: dict[str, Write] = {}
    for comes, name in steps:
        before, told = live.audience, tuple(here.values())
        if comes:
            live.join(name, writes[name])
            here[name] = writes[name]
        else:
            hub.detach(live, name, now=1.0)
            here.pop(name, None)
        assert before == told, "whom a fan-out was begun for does not change under it"
        assert live.audience == tuple(here.values())
        assert live.idle == (not here)
        assert [each for each in "abc" if live.serves(each)] == sorted(here)


def test_a_channel_lingers_after_its_last_member_then_is_forgotten() -> None:
    live = a_channel()
    hub, poll = a_hub(live), Patient()
    live.join("a", ignore)
    live.wait(poll)
    assert hub.reap(now=1000) == []
    hub.detach(live, "a", now=1000)
    assert hub.reap(now=2000) == [], "a poll waits"
    live.unwait(poll, now=2000)
    assert hub.reap(now=2000 + LINGER_S - 1) == []
    live.join("a", ignore)
    hub.detach(live, "a", now=2500)
    assert hub.reap(now=2500 + LINGER_S - 1) == []
    assert not live.gone
    assert hub.reap(now=2500 + LINGER_S) == [live]
    assert live.gone
    assert hub.channels == {}


def test_who_leaves_twice_does_not_prolong_the_linger() -> None:
    live = a_channel()
    hub, poll = a_hub(live), Patient()
    live.wait(poll)
    live.unwait(poll, now=10)
    live.unwait(poll, now=20)
    hub.detach(live, "a", now=20)
    assert hub.reap(now=10 + LINGER_S) == [live]


def test_every_channel_with_frames_is_marked_once() -> None:
    hub = a_hub(first := a_channel("orders:1"), second := a_channel("orders:2"))
    for live in (first, second, first):
        hub.mark(live)
    assert list(hub.dirty) == [first, second]


def test_a_run_of_publications_is_pending_in_order() -> None:
    live = a_channel()
    for each in a_run(2, 5, 9):
        live.accept(each)
    assert [json.loads(frame)["offset"] for frame in live.pending] == [2, 5, 9]
