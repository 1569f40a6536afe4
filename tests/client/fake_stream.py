"""What one channel of the fake edge retains."""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class FakeStream:
    """Publications with holes between their offsets, as those of a shared stream have."""

    epoch: str = "e1"
    head: int = 0
    publications: list[Json] = field(default_factory=list)
    forgotten: int = 0  # nothing up to here is retained
    newest: int = 0  # offset of the newest publication; a real stream says 0 once not even that is retained

    def append(self, event: str, data: Any) -> Json:
        offset = self.head + 3
        publication = {
            "type": "publication",
            "event": event,
            "event_id": f"{self.epoch}/{offset}",
            "time": "2026-01-01T00:00:00Z",
            "data": data,
            "offset": offset,
            "prev": self.newest,
        }
        self.head = self.newest = offset
        self.publications.append(publication)
        return publication

    def after(self, offset: int) -> list[Json]:
        return [each for each in self.publications if each["offset"] > offset]

    def forget(self) -> None:
        """Lose what is retained, as limits do."""
        self.publications.clear()
        self.forgotten = self.head

    def subscription(self, position: Json | None, last: int | None = None) -> Json:
        """Return the answer to a subscribe."""
        if position is None:
            begin = self.after(0)[-last:] if last else []
            offset = begin[0]["prev"] if begin else self.head
            return {"epoch": self.epoch, "offset": offset, "publications": begin}
        if position["epoch"] != self.epoch or position["offset"] < self.forgotten:
            return {"epoch": self.epoch, "offset": self.head, "recovered": False, "publications": []}
        missed = self.after(position["offset"])
        return {"epoch": self.epoch, "offset": position["offset"], "recovered": True, "publications": missed}
