"""Liveness is the loop; readiness is "may take new work".

``/live`` answers 200 as long as the event loop turns. ``/ready`` answers 200 while every named check holds, the
service has said that it is constructed, and it does not drain. An outage of the bus therefore takes a pod out of the
balancer and restarts nothing.
"""

from typing import Final

_STARTING: Final = "starting"


class Health:
    """Named checks; each is either fine or says why not."""

    def __init__(self) -> None:
        self._failing: dict[str, str] = {"service": _STARTING}

    def set(self, name: str, ok: bool, why: str = "") -> None:
        """Record check ``name``; ``why`` says what is wrong where it is not ``ok``."""
        if ok:
            self._failing.pop(name, None)
        else:
            self._failing[name] = why or "failing"

    def ready(self) -> None:
        """Say that the service is constructed: from now on only the checks decide."""
        if self._failing.get("service") == _STARTING:
            del self._failing["service"]

    def draining(self) -> None:
        """Say that the service takes no more new work; there is no way back."""
        self._failing["service"] = "draining"

    @property
    def is_ready(self) -> bool:
        """Whether new work is welcome."""
        return not self._failing

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is in the way, as ``name: why``, sorted; empty when ready."""
        return tuple(sorted(f"{name}: {why}" for name, why in self._failing.items()))
