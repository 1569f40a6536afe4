"""The reference page names everything that there is."""

from click import Context, Group, Option
from click.testing import CliRunner

from tests.cli.test_help import every_command
from tests.support.commandline import ROOT
from whimbrel.cli.__main__ import main
from whimbrel.cli.dev.ports import DEFAULTS

PAGE = (ROOT / "docs/reference/cli.md").read_text()
EVERYWHERE = {"--json", "--store", "--help"}  # told once, at the top


def options(path: tuple[str, ...]) -> set[str]:
    command = main
    for name in path:
        assert isinstance(command, Group)
        found = command.get_command(Context(command), name)
        assert found is not None
        command = found  # type: ignore[assignment]
    return {each for option in command.params if isinstance(option, Option) for each in option.opts}


def test_every_option_of_every_command_is_on_the_page() -> None:
    known = {option for path in every_command() for option in options(path)} - EVERYWHERE
    unnamed = {"--demo", "--restart"}  # by their opposites, for they are the default
    assert {option for option in known - unnamed if f"`{option}" not in PAGE} == set()


def test_every_port_is_on_the_page() -> None:
    assert all(name in PAGE for name in DEFAULTS)


def test_every_exit_code_is_on_the_page_and_in_the_help() -> None:
    for code in (0, 1, 2, 3):
        assert f"| {code} |" in PAGE
        assert f"{code} " in CliRunner().invoke(main, ["--help"]).output.partition("Exit codes:")[2]
