"""What is said of a session, from what its pod told last."""

import pytest

from whimbrel.protocol.codes import CloseCode
from whimbrel.protocol.sessions import PodBeat, SessionBegun, SessionRecord
from whimbrel.router.core import fates

BEGUN = SessionBegun("s1", "alice", "websocket", 1000.0)


def a_record(**changes: object) -> SessionRecord:
    return SessionRecord.model_validate({"pod": "edge-1", **BEGUN._asdict(), **changes})


def a_beat(at: float, *, started_at: float = 500.0, stopped: bool = False) -> PodBeat:
    return PodBeat(pod="edge-1", at=at, started_at=started_at, sessions=1, stopped=stopped)


@pytest.mark.parametrize("code", CloseCode)
def test_a_close_by_the_edge_is_explained_by_its_code(code: CloseCode) -> None:
    reply = fates.of_ended(a_record(closed_at=1010.0, ended_by="edge", code=int(code)), None)
    assert (reply.fate, reply.slug, reply.advice) == ("ended", code.slug, code.advice)


def test_a_code_of_a_newer_pod_is_said_to_be_one() -> None:
    reply = fates.of_ended(a_record(closed_at=1010.0, ended_by="edge", code=4099), None)
    assert (reply.slug, "newer version" in reply.advice) == ("unknown", True)


def test_a_goodbye_and_a_broken_network_are_told_apart() -> None:
    said = fates.of_ended(a_record(closed_at=1010.0, ended_by="client"), None)
    broken = fates.of_ended(a_record(closed_at=1010.0, ended_by="network"), None)
    assert (said.slug, broken.slug) == ("client", "network")
    assert "idle timeout" in broken.advice


def test_a_living_session_is_open_or_behind() -> None:
    assert fates.of_living(a_record(), 1020.0).slug == "open"
    behind = fates.of_living(a_record(doing=("behind",)), 1020.0)
    assert (behind.fate, behind.slug, "4002" in behind.advice) == ("open", "behind", True)


def test_an_end_that_is_not_written_yet_is_an_end() -> None:
    assert fates.of_living(a_record(closed_at=1010.0, ended_by="client"), 1020.0).fate == "ended"


@pytest.mark.parametrize(
    ("beat", "answered", "fate", "slug"),
    [
        (a_beat(1100.0), False, "vanished", "vanished"),  # silent since
        (None, False, "vanished", "vanished"),  # so long ago that its last sign has expired
        (a_beat(1990.0, started_at=1500.0), True, "vanished", "vanished"),  # another process bears its name
        (a_beat(1995.0), False, "unknown", "silent"),  # hung, or too busy to answer
        (a_beat(1995.0), True, "unknown", "unknown"),  # it lives, and has lost it
        (a_beat(1100.0, stopped=True), False, "unknown", "unknown"),  # it left as it should
    ],
)
def test_a_session_without_an_end_is_judged_by_its_pod(
    beat: PodBeat | None, answered: bool, fate: str, slug: str
) -> None:
    reply = fates.of_begun("edge-1", BEGUN, beat, answered=answered, now=2000.0)
    assert (reply.fate, reply.slug) == (fate, slug)


def test_the_time_of_another_process_reads_as_all_times_do() -> None:
    reply = fates.of_begun("edge-1", BEGUN, a_beat(1990.0, started_at=1500.0), answered=True, now=2000.0)
    assert reply.advice.endswith("since 1970-01-01 00:25:00 UTC.")
