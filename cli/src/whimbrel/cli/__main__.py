"""`whimbrel`, or `python -m whimbrel.cli`."""

import importlib

import click

COMMANDS = ("dev", "token", "publish", "listen", "status", "groups", "dlq")


class Commands(click.Group):
    """Loads the module of a command only when that command is wanted: the others' libraries take half a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a newcomer's day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"whimbrel.cli.commands.{cmd_name}").command
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
