"""Play the conversations against a client: `python -m tests.conversations [--over poll] [NAME…] -- COMMAND…`.

See docs/how-to/write-a-client.md.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from tests.conversations.client import ClientDied, ClientProcess
from tests.conversations.play import PATIENCE_S, Mismatch, Play
from tests.conversations.script import Script, load_all


async def main(arguments: Sequence[str]) -> int:
    """Return how many conversations went wrong."""
    ours, _, command = "\0".join(arguments).partition("\0--\0")
    parser = argparse.ArgumentParser(
        prog="python -m tests.conversations", usage=f"{__doc__.splitlines()[0].split('`')[1]}"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of scripts to play; all by default")
    parser.add_argument("--over", help="websocket, sse, poll or auto: only those played over it")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_S, metavar="S", help="for what is expected next (real time)"
    )
    options = parser.parse_args(ours.split("\0") if ours else [])
    if not command:
        parser.error("name the command that runs the client behind `--`")
    scripts = [each for each in load_all() if _wanted(each, options.names, options.over)]
    client = ClientProcess(command.split("\0"))
    wrong = 0
    try:
        for script in scripts:
            try:
                await Play(script, client, patience_s=options.patience).run()
                print(f"ok    {script}")
            except Mismatch as mismatch:
                wrong += 1
                print(f"WRONG {mismatch}")
                await client.stop()  # what it would still say must not be heard in the next one
            except ClientDied as death:
                wrong += 1
                print(f"WRONG {script} failed: {death}")
                await client.stop()
    finally:
        await client.stop()
    print(f"{len(scripts) - wrong} of {len(scripts)} conversations went as they should")
    return wrong


def _wanted(script: Script, names: Sequence[str], over: str | None) -> bool:
    return (not names or script.name in names) and over in (None, script.over)


if __name__ == "__main__":
    sys.exit(min(1, asyncio.run(main(sys.argv[1:]))))
