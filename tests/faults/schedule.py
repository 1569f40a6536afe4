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
    CUT = "cut"  # every connection through the proxy is reset, and new ones are refused
    SILENCE = "silence"  # bytes go nowhere, and nobody is told
    DELAY = "delay"  # bytes come late


# What can be done to whom. `clients` and `team` are the proxies before the edges and before NATS.
MENU: Final = {
    "edge": (Fault.KILL, Fault.KILL, Fault.STOP, Fault.TERM),
    "auth": (Fault.KILL, Fault.STOP),
    "router": (Fault.KILL, Fault.STOP),
    "notifier": (Fault.KILL, Fault.STOP, Fault.TERM),
    "nats": (Fault.KILL, Fault.KILL, Fault.STOP, Fault.LAME_DUCK),
    "leader": (Fault.KILL, Fault.STOP),
    "clients": (Fault.CUT, Fault.SILENCE, Fault.DELAY),
    "team": (Fault.CUT, Fault.SILENCE, Fault.DELAY),
}
LONGEST_S: Final = 3.0
STOPPED_S: Final = (0.3, 4.0)  # beyond 4 s a notifier that stood still has lost its pin: both sides are to be seen


@dataclass(frozen=True, slots=True)
class Step:
    """``fault`` hits ``target`` ``after_s`` seconds behind the step before, and lasts ``for_s``."""

    after_s: float
    target: str
    fault: Fault
    for_s: float

    def __str__(self) -> str:
        return f"+{self.after_s:.1f} s {self.fault.value} {self.target} for {self.for_s:.1f} s"


def drawn(seed: int, *, parts: Sequence[str], seconds: float) -> list[Step]:
    """Return the faults of a run of about ``seconds``; ``parts``: processes (edge-2, nats-3, …), leader, proxies."""
    random = Random(seed)
    steps: list[Step] = []
    left = seconds
    while left > 0:
        target = random.choice(parts)
        fault = random.choice(MENU[target.split("-")[0]])
        after_s = random.expovariate(1 / 0.8)
        for_s = random.uniform(*STOPPED_S) if fault is Fault.STOP else random.uniform(0.1, LONGEST_S)
        steps.append(Step(round(after_s, 2), target, fault, round(for_s, 2)))
        left -= after_s
    return steps
