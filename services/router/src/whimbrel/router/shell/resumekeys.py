"""Keeps a young key for resume grants in the bucket KEYS."""

import asyncio
import base64
from collections.abc import Callable
from typing import Final

from pydantic import TypeAdapter, ValidationError

from whimbrel.protocol import subjects
from whimbrel.protocol.rpc import ResumeKey
from whimbrel.router.core.resumekeys import is_due, rotate
from whimbrel.runtime.errors import BusFault, JetStreamRefused
from whimbrel.runtime.kv import Bucket, RevisionConflict
from whimbrel.runtime.logs import Logger

CHECK_S: Final = 600  # a key is used at most this much longer than it should be
KID_BYTES: Final = 6
SECRET_BYTES: Final = 32

_KEYS: Final = TypeAdapter(tuple[ResumeKey, ...])


class ResumeKeys:
    """Rotates the keys. ``clock`` gives Unix seconds, ``entropy`` fresh random bytes."""

    def __init__(
        self, bucket: Bucket, log: Logger, *, clock: Callable[[], float], entropy: Callable[[int], bytes]
    ) -> None:
        self._bucket = bucket
        self._log = log
        self._clock = clock
        self._entropy = entropy

    async def check(self) -> None:
        """Add a key where none is young enough; another router that does the same at once is as good.

        Raises BusFault, JetStreamRefused.
        """
        entry = await self._bucket.get(subjects.RESUME_KEYS)
        keys = self._read(entry.value) if entry is not None else ()
        now = self._clock()
        if not is_due(keys, now=now):
            return
        secret = base64.urlsafe_b64encode(self._entropy(SECRET_BYTES)).decode()
        fresh = ResumeKey(kid=self._entropy(KID_BYTES).hex(), secret=secret, created=int(now))
        value = _KEYS.dump_json(rotate(keys, fresh))
        try:
            if entry is None:
                await self._bucket.create(subjects.RESUME_KEYS, value)
            else:
                await self._bucket.update(subjects.RESUME_KEYS, value, entry.revision)
        except RevisionConflict:
            return
        self._log.info("resume_key.rotated", kid=fresh.kid)

    async def run(self) -> None:
        """Check every CHECK_S. Ends when cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                await self.check()
            except (BusFault, JetStreamRefused) as error:
                self._log.warning("resume_key.not_checked", error=str(error))

    def _read(self, value: bytes) -> tuple[ResumeKey, ...]:
        try:
            return _KEYS.validate_json(value)
        except ValidationError:
            self._log.warning("resume_key.unreadable")
            return ()
