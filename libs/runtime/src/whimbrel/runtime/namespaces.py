"""The namespaces of now: every service's live copy of what the router keeps in its bucket."""

from collections.abc import Callable

from pydantic import ValidationError

from whimbrel.protocol import subjects
from whimbrel.protocol.namespaces import ROUTER_OWNED, Namespace
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.kv import KvView
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection


class Namespaces:
    """``current`` holds the rules by name, the router's own namespaces included; ``on_change`` follow each change."""

    def __init__(self, bus: Connection, reads: DirectGet, log: Logger) -> None:
        self.current: dict[str, Namespace] = dict(ROUTER_OWNED)
        self.on_change: list[Callable[[], None]] = []
        self._log = log
        self._view = KvView(bus, reads, subjects.NAMESPACES, log)
        self._view.on_change.append(self._changed)

    async def open(self) -> None:
        """Read them, and follow their changes from then on; returns when they are known."""
        await self._view.open()

    async def close(self) -> None:
        """Stop following; what is known stays."""
        await self._view.close()

    def _changed(self, name: str, value: bytes | None) -> None:
        if name in ROUTER_OWNED:
            return  # not for a file to change
        if value is None:
            self.current.pop(name, None)
        else:
            try:
                self.current[name] = Namespace.model_validate_json(value)
            except ValidationError as fault:  # of another version: what was known stays
                self._log.error("namespace.unreadable", namespace=name, reason=str(fault.errors()[0]["msg"]))
        for changed in self.on_change:
            changed()
