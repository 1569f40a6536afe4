"""Follows the process' vital signs: in a brownout the pod is not ready, and its clients are asked to poll instead. Nor
is it ready without room for another client.

They are moved few at a time, and only while the strain lasts: a poll costs less than a busy socket, but all of them
coming at once would be the next strain. Sockets that stay are served as before.
"""

import math
from typing import Final

from whimbrel.edge.core.brownout import Brownout
from whimbrel.edge.shell.pod import Connected, Pod
from whimbrel.protocol.frames import Policy, encode
from whimbrel.runtime.health import Health
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.vitals import INTERVAL_S, Vitals

CHECK: Final = "load"
ROOM_CHECK: Final = "room"
ROOM_AGAIN: Final = 0.95  # of what the pod may hold: who hovers at a limit does not flap


class Watch:
    """Looks whenever ``vitals`` does."""

    def __init__(self, pod: Pod, vitals: Vitals, health: Health) -> None:
        self._pod = pod
        self._vitals = vitals
        self._health = health
        self._untold: list[Connected] = []  # who is still to hear of the change
        self._told: list[Connected] = []  # of the brownout
        self._at_once = 0  # how many hear of it per look
        self._full = False
        self.brownouts = 0
        vitals.on_look.append(self.look)

    def look(self) -> None:
        """Take the vital signs, and do what follows."""
        brownout, vitals = self._pod.brownout, self._vitals
        now = self._pod.now()
        if brownout.observe(lag_s=vitals.lag_s, memory_bytes=vitals.resident_bytes, now=now):
            self._changed(brownout)
        if brownout.active:  # who left is held no longer: memory may be what is short
            held = self._pod.connections
            self._untold = [each for each in self._untold if each in held]
            self._told = [each for each in self._told if each in held]
        if self._untold and (brownout.strained or not brownout.active) and not self._pod.draining:
            self._tell(brownout)
        self._measure_room()

    def _measure_room(self) -> None:
        """Have the balancer send clients elsewhere while here is no room; the polls and sockets that are here stay."""
        filled = self._pod.filled
        if (filled >= 1.0) != self._full and not ROOM_AGAIN <= filled < 1.0:
            self._full = not self._full
            self._health.set(ROOM_CHECK, not self._full, "the pod holds as many clients as it may")
            self._pod.log.info("pod.full" if self._full else "pod.has_room", connections=len(self._pod.connections))

    def _changed(self, brownout: Brownout) -> None:
        self._health.set(CHECK, not brownout.active, brownout.reason)
        if brownout.active:
            self.brownouts += 1
            self._untold, self._told = list(self._pod.connections), []
            self._pod.log.warning("brownout.began", reason=brownout.reason, connections=len(self._untold))
        else:
            self._untold, self._told = self._told, []
            self._pod.log.info("brownout.ended", told=len(self._untold))
        spread_s = self._pod.settings.brownout_spread_s
        self._at_once = math.ceil(len(self._untold) * INTERVAL_S / spread_s)

    def _tell(self, brownout: Brownout) -> None:
        policy = encode(Policy.model_validate(self._pod.advice().model_dump() | {"type": "policy"}))
        for _ in range(min(self._at_once, len(self._untold))):
            connection = self._untold.pop()
            if connection in self._pod.connections:
                connection.advised(policy)
                if brownout.active:
                    self._told.append(connection)

    def expose(self, metrics: Metrics) -> None:
        """Publish the state."""
        metrics.gauge("whimbrel_edge_brownout", "1 while the pod sheds load.", lambda: int(self._pod.brownout.active))
        metrics.counter("whimbrel_edge_brownouts_total", "Brownouts begun.", lambda: self.brownouts)
