"""Work on the streams as a whole, while no service runs or beside them: migrate, backup, restore."""

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from whimbrel.router.settings import RouterSettings
from whimbrel.router.shell import backup, migration
from whimbrel.router.shell.status import Status
from whimbrel.runtime import jetstream, logs
from whimbrel.runtime.errors import BusFault, JetStreamRefused, RuntimeFault, StartRefused
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

CONNECT_S: Final = 10.0

Work = Callable[[Connection], AsyncIterator[str]]


def migrate(settings: RouterSettings) -> int:
    """Bring the streams to this version's layout; return the exit code."""

    async def work(bus: Connection) -> AsyncIterator[str]:
        await _alone(bus)
        async for said in migration.migrate(bus):
            yield said

    return _run(settings, work)


def save(settings: RouterSettings, folder: Path) -> int:
    """Write everything into a new ``folder``, while all goes on; return the exit code."""
    try:
        folder.mkdir(mode=0o700, parents=True)  # it will hold inboxes, and the keys of resume grants
    except OSError as error:
        sys.stderr.write(f"whimbrel-router: {folder}: {error.strerror}; name a folder that does not exist.\n")
        return 2
    code = 1
    try:
        code = _run(settings, lambda bus: backup.backup(bus, folder, now=time.time()))
    finally:
        if code:
            shutil.rmtree(folder)  # who runs it again must not find half of it
    return code


def restore(settings: RouterSettings, folder: Path) -> int:
    """Make the streams anew from ``folder``; return the exit code."""

    async def work(bus: Connection) -> AsyncIterator[str]:
        await _alone(bus)
        async for said in backup.restore(bus, folder, now=time.time(), replicas=settings.replicas):
            yield said

    return _run(settings, work)


def _run(settings: RouterSettings, work: Work) -> int:
    log = logs.setup("router", settings.instance, level="error", log_format=settings.log_format)
    try:
        asyncio.run(_connected(settings, work, log))
    except StartRefused as refusal:
        sys.stderr.write(f"whimbrel-router: {refusal}.\n")
        return 2
    except RuntimeFault as fault:
        sys.stderr.write(f"whimbrel-router: {fault}; nothing is lost, run it again.\n")
        return 1
    except OSError as error:
        sys.stderr.write(
            f"whimbrel-router: {error.filename or 'a file of the backup'}: {error.strerror}; nothing is lost.\n"
        )
        return 1
    return 0


async def _connected(settings: RouterSettings, work: Work, log: Logger) -> None:
    bus = Connection(settings.nats_url, name="whimbrel-router-upkeep", log=log, inbox_prefix="_INBOX.router")
    try:
        async with asyncio.timeout(CONNECT_S):
            await bus.open()
    except TimeoutError:
        raise StartRefused(f"NATS does not answer within {CONNECT_S:g} s (WHIMBREL_ROUTER_NATS_URL)") from None
    try:
        await _led(bus)
        async for said in work(bus):
            print(said, flush=True)  # whoever waits sees how far it is
    finally:
        await bus.close()


async def _led(bus: Connection) -> None:
    """Wait until all streams answer: in a cluster that has just started their leaders are being elected.

    Raises BusFault, JetStreamRefused.
    """
    deadline = asyncio.get_running_loop().time() + backup.ELECTION_S
    while True:
        try:
            for name in (await jetstream.request(bus, "STREAM.NAMES", {})).get("streams") or ():
                await jetstream.stream_config(bus, name)
        except (BusFault, JetStreamRefused):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(backup.AGAIN_S)
        else:
            return


async def _alone(bus: Connection) -> None:
    """Refuse while services run: what they hold in memory belongs to the streams of before."""
    running = [f"{each.service} {each.instance}" for each in (await Status(bus).services()) if each.pid]
    if running:
        raise StartRefused(f"{', '.join(running)} still run: stop every service first")
