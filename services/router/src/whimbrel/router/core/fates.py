"""What became of a session, from what its pod told last and whether that pod still lives."""

from datetime import UTC, datetime
from typing import Final, Literal

from whimbrel.protocol.bodies import SessionReply
from whimbrel.protocol.codes import CloseCode
from whimbrel.protocol.sessions import BEAT_S, PodBeat, SessionBegun, SessionRecord

SILENT_S: Final = 3 * BEAT_S  # a pod that gave no sign for so long is dead or cut off, not slow

OPEN: Final = "It is connected, and reads what it is sent."
BEHIND: Final = (
    "It reads too slowly and is not written live: it catches up from history as it drains, and is closed with 4002 "
    "where it takes nothing for long. Look at the client's network, or at what it does with each frame."
)
CLIENT: Final = "The client closed it: a page that was left, a switch to another transport, or code that closed it."
NETWORK: Final = (
    "The connection broke without a word: a lost network, a sleeping device, a killed client, or a proxy with an idle "
    "timeout below `ping`. The client reconnects by itself and resumes at its positions."
)
VANISHED: Final = (
    "Its pod died or was cut off without closing it: look at that pod's restarts and memory. The client notices "
    "within `ping` + `pong`, reconnects to another pod and resumes at its positions."
)
SILENT: Final = "Its pod does not answer, but gave a sign of life a moment ago: ask again in some seconds."
LOST: Final = (
    "Its pod lives and holds it no more, but could not write how it ended: the bus was away for too long. Its line "
    "`session.closed` is in the pod's log."
)


def of_living(record: SessionRecord, at: float) -> SessionReply:
    """Return what to say of a session that its pod told of at ``at`` (Unix s), as open or as just ended."""
    if record.closed_at is not None:
        return of_ended(record, at)
    if "behind" in record.doing:
        return _reply(record, "open", "behind", BEHIND, at)
    return _reply(record, "open", "open", OPEN, at)


def of_ended(record: SessionRecord, heard_at: float | None) -> SessionReply:
    """Return what to say of a session whose end was told."""
    if record.code is not None:
        code = next((each for each in CloseCode if each == record.code), None)
        if code is None:  # of a newer pod
            return _reply(record, "ended", "unknown", "Its pod is of a newer version than this router.", heard_at)
        return _reply(record, "ended", code.slug, code.advice, heard_at)
    if record.ended_by == "client":
        return _reply(record, "ended", "client", CLIENT, heard_at)
    return _reply(record, "ended", "network", NETWORK, heard_at)


def of_begun(pod: str, begun: SessionBegun, beat: PodBeat | None, *, answered: bool, now: float) -> SessionReply:
    """Return what to say of a session that began on ``pod`` and whose end nobody told; ``answered``: the pod does
    now, and does not hold it.
    """
    record = SessionRecord(pod=pod, **begun._asdict())
    heard_at = None if beat is None else beat.at
    if beat is not None and beat.started_at > begun.opened_at:  # another process under the same name
        since = datetime.fromtimestamp(beat.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S %Z")
        why = f"{VANISHED} Another process bears the pod's name since {since}."
        return _reply(record, "vanished", "vanished", why, None)
    if answered or (beat is not None and beat.stopped):
        return _reply(record, "unknown", "unknown", LOST, heard_at)
    if heard_at is not None and now < heard_at + SILENT_S:
        return _reply(record, "unknown", "silent", SILENT, heard_at)
    return _reply(record, "vanished", "vanished", VANISHED, heard_at)


def _reply(
    record: SessionRecord,
    fate: Literal["open", "ended", "vanished", "unknown"],
    slug: str,
    advice: str,
    heard_at: float | None,
) -> SessionReply:
    return SessionReply(record=record, fate=fate, slug=slug, advice=advice, pod_heard_at=heard_at)
