"""The table of namespaces: written from the file at start, then followed in the bucket NAMESPACES."""

from collections.abc import Mapping

from pydantic import ValidationError

from whimbrel.protocol.namespaces import Namespace
from whimbrel.router.core.namespaces import Table, diff
from whimbrel.runtime.kv import Bucket, KvView
from whimbrel.runtime.logs import Logger


class NamespaceTable:
    """The namespaces that hold now, whichever router wrote them."""

    def __init__(self, bucket: Bucket, view: KvView, log: Logger) -> None:
        self._bucket = bucket
        self._view = view
        self._log = log
        self._table: dict[str, Namespace] = {}
        view.on_change.append(self._changed)

    @property
    def table(self) -> Table:
        """The rules by name."""
        return self._table

    async def open(self) -> None:
        """Read what is stored and follow it."""
        await self._view.open()
        for name, value in self._view.items():
            self._changed(name, value)

    async def write(self, wanted: Table, *, remove: bool) -> None:
        """Make the bucket hold ``wanted``; what is stored beside it goes where ``remove``.

        Raises BusFault, JetStreamRefused.
        """
        stored: Mapping[str, Namespace | None] = {name: self._table.get(name) for name in self._view}
        changes = diff(stored, wanted)
        for name, rules in changes.put.items():
            await self._bucket.put(name, rules.model_dump_json(exclude_defaults=True).encode())
            self._table[name] = rules
        removed = changes.removed if remove else ()
        for name in removed:
            await self._bucket.delete(name)
            self._table.pop(name, None)
        self._log.info("namespaces.written", put=sorted(changes.put), removed=list(removed), total=len(self._table))

    def _changed(self, name: str, value: bytes | None) -> None:
        self._table.pop(name, None)
        if value is None:
            return
        try:
            self._table[name] = Namespace.model_validate_json(value)
        except ValidationError as error:
            # Of a newer version, or written by hand: a namespace without readable rules does not exist.
            self._log.warning("namespace.unreadable", namespace=name, faults=error.error_count())
