"""Refresh families in the bucket REFRESH."""

import math
from typing import Final

from whimbrel.auth.core.families import Family
from whimbrel.auth.shell.issuer import Stored
from whimbrel.protocol import subjects
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import JetStreamRefused
from whimbrel.runtime.nats import Connection

WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})  # nats-server's errors.json: another write came first


class FamilyStore:
    """The Store of the issuer."""

    def __init__(self, bus: Connection, reads: DirectGet) -> None:
        self._bus = bus
        self._reads = reads

    async def read(self, key: str) -> Stored | None:
        """Return the family under ``key``."""
        found = await self._reads.last(
            subjects.bucket_stream(subjects.REFRESH), subjects.key_subject(subjects.REFRESH, key)
        )
        if found is None or not found.payload:  # a marker: deleted, or expired
            return None
        return Stored(Family.model_validate_json(found.payload), found.seq)

    async def write(self, key: str, family: Family, *, revision: int, lifetime: float) -> bool:
        """Replace ``revision`` by ``family``."""
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(revision),
            "Nats-TTL": str(math.ceil(lifetime)),  # the server forgets it by itself: sign-ins never pile up
        }
        payload = family.model_dump_json(exclude_defaults=True).encode()
        try:
            await jetstream.publish(self._bus, subjects.key_subject(subjects.REFRESH, key), payload, headers)
        except JetStreamRefused as refusal:
            if refusal.err_code in WRONG_LAST_SEQUENCE:
                return False
            raise
        return True
