"""How this program is called where it runs: what we tell people to type works as it is printed."""

import shlex
import shutil
import sys
from pathlib import Path


def invocation(arguments: str, store: Path | None = None) -> str:
    """Return a command line that reaches us, for ``arguments`` that are quoted already, and ``store`` if told."""
    told = f" --store {shlex.quote(str(store))}" if store else ""
    return f"{_program()} {arguments}{told}"


def _program() -> str:
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m whimbrel.cli"
    on_path = shutil.which("whimbrel")
    if called.name != "whimbrel" or (on_path and Path(on_path).resolve() == called.resolve()):
        return "whimbrel"
    absolute, here = Path.cwd() / called, Path.cwd()
    return shlex.quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute))
