"""Work on the streams of a store in which nothing runs: NATS is started alone, and the router's own program works."""

import asyncio
import contextlib
import os
from typing import Final

from whimbrel.cli.dev.child import Child
from whimbrel.cli.dev.parts import Part, Setup, find_deploy, nats_parts, service_parts
from whimbrel.cli.dev.ports import held
from whimbrel.cli.dev.store import Store
from whimbrel.cli.exits import Failure
from whimbrel.cli.output import Output

READY_S: Final = 60.0
CLEAN_UP_S: Final = 20.0  # that the work has after Ctrl-C, of which the terminal tells it too; it needs NATS for that


def work_on(store: Store, servers: int, arguments: tuple[str, ...], output: Output) -> None:
    """Run ``python -m whimbrel.router ARGUMENTS`` on the streams that so many servers keep, and say what it says.

    Raises Failure.
    """
    with held("0", nats_servers=servers) as ports:
        setup = Setup(store, ports, find_deploy(), nats_servers=servers)
        router = next(part for part in service_parts(setup, origins=()) if part.name == "router")
        asyncio.run(_work(store, nats_parts(setup), router, arguments, output))


async def _work(store: Store, buses: list[Part], router: Part, arguments: tuple[str, ...], output: Output) -> None:
    children = [Child(part, store.logs / f"{part.name}.log", lambda line: None) for part in buses]
    try:
        for child in children:
            await child.start()
        try:
            async with asyncio.timeout(READY_S):
                await asyncio.gather(*(child.ready() for child in children))
        except TimeoutError:
            raise Failure(f"NATS is not ready within {READY_S:g} s; see {store.logs}") from None
        await run(router, arguments, output)
    finally:
        await asyncio.gather(*(child.stop() for child in children))


async def run(router: Part, arguments: tuple[str, ...], output: Output) -> None:
    """Run the program of ``router`` with ``arguments`` and say what it says. Raises Failure."""
    running = await asyncio.create_subprocess_exec(
        *router.command,
        *arguments,
        env={**os.environ, **router.env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    try:
        async for line in running.stdout:
            said = line.decode().rstrip()
            output.say(said, {"said": said})
        complaint = (await running.stderr.read()).decode().strip()
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLEAN_UP_S):
                await running.wait()
    if running.returncode:
        raise Failure(complaint.removeprefix("whimbrel-router: ").rstrip(".").rpartition("\n")[2])
