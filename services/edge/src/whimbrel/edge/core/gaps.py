"""Which gaps are told one by one, and which are only counted: a storm of one cause is explained by its first few.

Of each cause and window the first 20 are told whole. The others are counted by channel, those beyond 50 channels
together, and told at the end of the window. However many clients are told to reload, a pod tells at most 71 entries
per cause and 10 s: 15 KB, and the totals are exact.
"""

from collections import Counter
from typing import Final, Literal, NamedTuple, get_args

from whimbrel.protocol.gaps import Cause

EACH: Final = 20  # per cause and window
CHANNELS: Final = 50  # per cause and window are counted by name
WINDOW_S: Final = 10.0

During = Literal["return", "live", "behind"]


class Counted(NamedTuple):
    """``clients`` that were told to reload for the same cause; ``channel`` is empty for several together."""

    at: float  # Unix s, the first of them
    cause: Cause
    during: During
    channel: str
    clients: int


class Ledger:
    """Counts every gap, and says which are told whole. ``now`` is of a monotonic clock, ``wall`` Unix seconds."""

    def __init__(self, *, now: float) -> None:
        self.totals: Counter[tuple[str, ...]] = Counter({(cause,): 0 for cause in get_args(Cause)})
        self.window_ends = now + WINDOW_S
        self._told: Counter[Cause] = Counter()
        self._named: Counter[Cause] = Counter()  # channels that are counted by name
        self._counted: dict[tuple[Cause, During, str], Counted] = {}

    def note(self, cause: Cause, during: During, channel: str, *, wall: float) -> bool:
        """Tell whether this client is to be told whole; otherwise it is counted."""
        if self._told[cause] >= EACH:
            self.count(cause, during, channel, wall=wall)
            return False
        self.totals[cause,] += 1
        self._told[cause] += 1
        return True

    def count(self, cause: Cause, during: During, channel: str, *, wall: float, clients: int = 1) -> None:
        """Count ``clients`` without telling them whole."""
        self.totals[cause,] += clients
        key = cause, during, channel
        if key not in self._counted:
            if self._named[cause] < CHANNELS:
                self._named[cause] += 1
            else:
                key = cause, during, ""
        before = self._counted.get(key) or Counted(wall, *key, 0)
        self._counted[key] = before._replace(clients=before.clients + clients)

    @property
    def counting(self) -> bool:
        """Whether something is to be told at the end of the window."""
        return bool(self._counted)

    def end_window(self, *, now: float) -> list[Counted]:
        """Begin a new window, and return what was counted in the one that ends."""
        counted = list(self._counted.values())
        self._counted.clear()
        self._told.clear()
        self._named.clear()
        self.window_ends = now + WINDOW_S
        return counted
