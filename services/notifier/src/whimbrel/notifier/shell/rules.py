"""What comes from outside the events: the routes file, and the namespaces that the router keeps in its bucket."""

from pathlib import Path

from pydantic import ValidationError

from whimbrel.notifier.core import routes
from whimbrel.notifier.core.errors import MalformedRoutes
from whimbrel.notifier.core.routes import Routes
from whimbrel.protocol import subjects
from whimbrel.protocol.namespaces import ROUTER_OWNED, Namespace
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import StartRefused
from whimbrel.runtime.kv import KvView
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection


def read_routes(path: Path) -> Routes:
    """Return the routes of the file at ``path``.

    Raises StartRefused.
    """
    try:
        return routes.load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StartRefused(f"cannot read the routes {path} (WHIMBREL_NOTIFIER_ROUTES_FILE): {why}") from error
    except MalformedRoutes as fault:
        raise StartRefused(f"the routes {path} cannot be used: {fault}") from fault


class Namespaces:
    """The namespaces of now, by name."""

    def __init__(self, bus: Connection, reads: DirectGet, log: Logger) -> None:
        self.current: dict[str, Namespace] = dict(ROUTER_OWNED)
        self._log = log
        self._view = KvView(bus, reads, subjects.NAMESPACES, log)
        self._view.on_change.append(self._changed)

    async def open(self) -> None:
        """Read them, and follow their changes from then on."""
        await self._view.open()

    async def close(self) -> None:
        """Stop following."""
        await self._view.close()

    def _changed(self, name: str, value: bytes | None) -> None:
        if name in ROUTER_OWNED:
            return  # not for a file to change
        if value is None:
            self.current.pop(name, None)
            return
        try:
            self.current[name] = Namespace.model_validate_json(value)
        except ValidationError as fault:  # of another version: what was known stays
            self._log.error("namespace.unreadable", namespace=name, reason=str(fault.errors()[0]["msg"]))
