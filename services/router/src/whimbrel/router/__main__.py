"""`python -m whimbrel.router` serves; `… migrate`, `… backup DIR` and `… restore DIR` work on the streams."""

import argparse
import sys
from pathlib import Path

from whimbrel.router.app import run
from whimbrel.router.settings import RouterSettings
from whimbrel.router.shell import upkeep
from whimbrel.runtime import service, settings


def main() -> None:
    """Serve until told to stop, or do one piece of work on the streams."""
    parser = argparse.ArgumentParser(prog="python -m whimbrel.router", description="Groups, rights and the streams.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("migrate", help="bring the streams to this version's layout; no service may run")
    for name, about in (
        ("backup", "write all streams and buckets into a new folder, while everything runs"),
        ("restore", "make all streams and buckets anew from a backup; no service may run"),
    ):
        commands.add_parser(name, help=about).add_argument("folder", type=Path)
    arguments = parser.parse_args()
    set_up = settings.load(RouterSettings)
    match arguments.command:
        case "migrate":
            sys.exit(upkeep.migrate(set_up))
        case "backup":
            sys.exit(upkeep.save(set_up, arguments.folder))
        case "restore":
            sys.exit(upkeep.restore(set_up, arguments.folder))
        case _:
            service.main("router", set_up, run)


if __name__ == "__main__":
    main()
