"""`whimbrel`, or `python -m whimbrel.cli`."""

import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from whimbrel.cli.exits import Failure

COMMANDS = (
    "dev",
    "token",
    "publish",
    "withdraw",
    "listen",
    "inbox",
    "status",
    "why",
    "gaps",
    "groups",
    "dlq",
    "kill",
    "chaos-proxy",
    "migrate",
    "backup",
    "restore",
)


class Commands(click.Group):
    """Loads the module of a command only when that command is wanted: the others' libraries take half a second."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **options: Any) -> Any:
        """Run a command; with --json a failure is one JSON object on stderr, with the same exit code."""
        told = list(sys.argv[1:] if args is None else args)
        if len(told) > 1 and told[0] == "--json":  # it belongs to the command, and is understood before it too
            told = [*told[1:], "--json"]
        if "--json" not in told:
            return super().main(told, *others, **options)
        try:
            code = super().main(told, *others, **{**options, "standalone_mode": False})
        except click.Abort:
            sys.exit(1)
        except click.ClickException as error:
            message, advice = error.message, ""
            if isinstance(error, Failure):
                advice = error.advice
            elif isinstance(error, click.UsageError):
                message = error.format_message()
                advice = f"see {error.ctx.command_path} --help" if error.ctx else ""
            click.echo(json.dumps({"error": message, "advice": advice}, ensure_ascii=False), err=True)
            sys.exit(error.exit_code)
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a newcomer's day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"whimbrel.cli.commands.{cmd_name.replace('-', '_')}").command
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done · 1 refused or failed · 2 wrong usage or setting · 3 not reachable.",
)
@click.version_option(package_name="whimbrel-cli", prog_name="whimbrel")
def main() -> None:
    """Run Whimbrel on a laptop, mint tokens, publish, listen, look.

    \b
    whimbrel dev                                    # everything on this machine
    whimbrel listen --user alice orders:42          # in a second terminal
    whimbrel publish events.shop.order.42 --type order.shipped --data '{"carrier":"DHL"}'
    """


if __name__ == "__main__":
    main()
