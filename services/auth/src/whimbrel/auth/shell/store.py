"""Refresh families in the bucket REFRESH."""

from whimbrel.auth.core.families import Family
from whimbrel.auth.shell.issuer import Stored
from whimbrel.runtime.kv import Bucket, RevisionConflict


class FamilyStore:
    """The Store of the issuer."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def read(self, key: str) -> Stored | None:
        """Return the family under ``key``."""
        entry = await self._bucket.get(key)
        return None if entry is None else Stored(Family.model_validate_json(entry.value), entry.revision)

    async def write(self, key: str, family: Family, *, revision: int, lifetime: float) -> bool:
        """Replace ``revision`` by ``family``, which the server forgets by itself: sign-ins never pile up."""
        value = family.model_dump_json(exclude_defaults=True).encode()
        try:
            await self._bucket.update(key, value, revision, ttl_s=lifetime)
        except RevisionConflict:
            return False
        return True
