"""How the partitions are shared among the notifiers that run.

Each tells the others every second which partitions it holds. Who holds more than its share lets go as soon as somebody
has less; who holds its share leaves the rest to those who have less. Nobody is in charge, and a notifier that falls
silent is forgotten: its partitions fall to whoever asks first.
"""

from collections.abc import Collection
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

TELL_S: Final = 1.0
FORGET_S: Final = 3.5  # three in a row lost


class Holding(BaseModel):
    """What a notifier tells the others: the number of partitions that it ``holds``."""

    model_config = ConfigDict(frozen=True)

    instance: str = Field(max_length=64)
    holds: int = Field(ge=0, le=1024)


class Peers:
    """The other notifiers, as far as they were heard of."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._heard: dict[str, tuple[float, int]] = {}

    def hear(self, holding: Holding, *, now: float) -> None:
        """Take note of what a notifier told; our own word, which comes back to us, counts for nothing."""
        if holding.instance != self._instance:
            self._heard[holding.instance] = (now, holding.holds)

    def forget_silent(self, *, now: float) -> None:
        """Forget who was not heard of for FORGET_S."""
        self._heard = {name: heard for name, heard in self._heard.items() if now < heard[0] + FORGET_S}

    @property
    def count(self) -> int:
        """Return how many others there are."""
        return len(self._heard)

    def share(self, partitions: int) -> int:
        """Return how many partitions one notifier holds at most while others have fewer."""
        return -(-partitions // (1 + len(self._heard)))

    def _somebody_needs(self, partitions: int, mine: int) -> bool:
        share = self.share(partitions)
        return any(holds < share and holds < mine for _, holds in self._heard.values())

    def to_release(self, partitions: int, held: Collection[int]) -> list[int]:
        """Return which of the ``held`` partitions to let go, the highest first."""
        excess = len(held) - self.share(partitions)
        if excess <= 0 or not self._somebody_needs(partitions, len(held)):
            return []
        return sorted(held, reverse=True)[:excess]

    def may_claim(self, partitions: int, held: int) -> bool:
        """Tell whether to ask for a partition that nobody holds."""
        return held < self.share(partitions) or not self._somebody_needs(partitions, held)
