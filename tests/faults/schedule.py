"""Which faults come when: drawn from a seed, so that a run can be had again."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final


class Fault(Enum):
    """What is done to a target, and undone when its time is over."""

    KILL = "kill -9"  # the supervisor starts it again
    STOP = "SIGSTOP"  # it stands still with its sockets open
    TERM = "SIGTERM"  # it drains
    LAME_DUCK = "lame duck"  # a server of NATS hands over its leaders first
    CUT = "cut"  # every connection is reset, and new ones are refused
    SILENCE = "silence"  # bytes go nowhere, and nobody is told
    DELAY = "delay"  # bytes come late
    LOSS = "packet loss"
    STUCK = "stuck"  # a client reads nothing more
    STEP = "clock step"  # the time of day jumps, and back
    PURGE = "purge"  # the history of a partition is taken away
    FULL = "full disk"  # of a server of NATS, which its operator then gives room and starts again


# What can be done to whom. `clients` and `team` are the proxies before the edges and before NATS; `wire` is what lies
# between a service and NATS, `routes` what lies between a server of NATS and its peers; `history` is a stream.
MENU: Final = {
    "edge": (Fault.KILL, Fault.KILL, Fault.STOP, Fault.TERM),
    "auth": (Fault.KILL, Fault.STOP),
    "router": (Fault.KILL, Fault.STOP),
    "notifier": (Fault.KILL, Fault.STOP, Fault.TERM),
    "nats": (Fault.KILL, Fault.KILL, Fault.STOP, Fault.LAME_DUCK),
    "leader": (Fault.KILL, Fault.STOP),
    "clients": (Fault.CUT, Fault.SILENCE, Fault.DELAY, Fault.LOSS),
    "client": (Fault.STUCK,),
    "team": (Fault.CUT, Fault.SILENCE, Fault.DELAY),
    "wire": (Fault.CUT, Fault.SILENCE, Fault.LOSS),
    "routes": (Fault.SILENCE, Fault.LOSS),
    "clock": (Fault.STEP,),
    "disk": (Fault.FULL,),
    "history": (Fault.PURGE,),
}
LONGEST_S: Final = 3.0
STOPPED_S: Final = (0.3, 4.0)  # beyond 4 s a notifier that stood still has lost its pin: both sides are to be seen
STEPS_S: Final = (-90.0, 90.0)  # of a clock


@dataclass(frozen=True, slots=True)
class Step:
    """``fault`` hits ``target`` ``after_s`` seconds behind the step before, and lasts ``for_s``; a clock is off by
    ``by_s``.
    """

    after_s: float
    target: str
    fault: Fault
    for_s: float
    by_s: float = 0.0

    def __str__(self) -> str:
        by = f" by {self.by_s:+.0f} s" if self.by_s else ""
        return f"+{self.after_s:.1f} s {self.fault.value} {self.target}{by} for {self.for_s:.1f} s"

    @property
    def kind(self) -> str:
        """Which row of the menu this is of."""
        return self.target.partition("-")[0]

    @property
    def whose(self) -> str:
        """What the target is behind its kind: ``edge-2`` of ``wire-edge-2``."""
        return self.target.partition("-")[2]


def drawn(seed: int, *, parts: Sequence[str], seconds: float) -> list[Step]:
    """Return the faults of a run of about ``seconds``; ``parts``: processes (edge-2, nats-3, …), leader, proxies."""
    random = Random(seed)
    kinds = sorted({part.partition("-")[0] for part in parts})
    steps: list[Step] = []
    left = seconds
    while left > 0:
        kind = random.choice(kinds)  # first: there are more wires and clients than servers
        target = random.choice([part for part in parts if part.partition("-")[0] == kind])
        fault = random.choice(MENU[kind])
        after_s = random.expovariate(1 / 0.8)
        for_s = random.uniform(*STOPPED_S) if fault is Fault.STOP else random.uniform(0.1, LONGEST_S)
        by_s = random.uniform(*STEPS_S) if fault is Fault.STEP else 0.0
        steps.append(Step(round(after_s, 2), target, fault, round(for_s, 2), round(by_s)))
        left -= after_s
    return steps
