"""Who was told to reload, and why: read from stream GAPS, newest first."""

from typing import Final, NamedTuple

from pydantic import ValidationError

from whimbrel.protocol import subjects
from whimbrel.protocol.bodies import GapsReply
from whimbrel.protocol.gaps import Cause, Gap, GapBatch
from whimbrel.router.shell.newest import newest_first
from whimbrel.runtime.directget import DirectGet

GAPS: Final = 100  # in an answer, where it is not said how many
MAX_GAPS: Final = 1000
SLACK_S: Final = 60.0  # a pod writes within seconds of the gap, and its clock is not ours


class Sought(NamedTuple):
    """Which gaps are meant; ``since`` is Unix seconds, None means any."""

    since: float
    channel: str | None = None
    user: str | None = None
    cause: Cause | None = None

    def covers(self, gap: Gap) -> bool:
        """Tell whether ``gap`` is meant."""
        return (
            gap.at >= self.since
            and self.channel in (None, gap.channel)
            and self.user in (None, gap.user)
            and self.cause in (None, gap.cause)
        )


class Gaps:
    """Every method raises BusFault and JetStreamRefused."""

    def __init__(self, reads: DirectGet) -> None:
        self._reads = reads

    async def read(self, sought: Sought, *, limit: int) -> GapsReply:
        """Return up to ``limit`` of the gaps ``sought``, the latest first."""
        found: list[Gap] = []
        async for message in newest_first(self._reads, subjects.GAPS, subjects.GAPS_ALL):
            try:
                batch = GapBatch.model_validate_json(message.payload)
            except ValidationError:  # of another version
                continue
            if all(gap.at < sought.since - SLACK_S for gap in batch.gaps):
                break
            found += filter(sought.covers, reversed(batch.gaps))
            if len(found) > limit:
                break
        found.sort(key=lambda gap: gap.at, reverse=True)  # the pods write independently
        return GapsReply(gaps=tuple(found[:limit]), complete=len(found) <= limit)
