"""Child processes that take one command per line and answer each with one line of JSON."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
BUILT: Final = ROOT / ".cache/bench"
ANSWER_S: Final = 120.0  # longer than any command takes
ENDED: Final = "a program of the benchmark ended; what it said stands above"


class Broken(Exception):
    """A program of the benchmark cannot be built, or ended in the middle of its work."""


def compiled(name: str) -> Path:
    """Return the program made of ``name``.c, compiled if its sources changed.

    Raises Broken.
    """
    here = Path(__file__).parent
    source = here / f"{name}.c"
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in (source, *sorted(here.rglob("*.h"))))).hexdigest()
    program = BUILT / f"{source.stem}-{digest[:12]}"
    if not program.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        making = program.with_suffix(".new")
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-o", str(making), str(source)]
        try:
            built = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Broken("the load program is written in C: install gcc") from None
        if built.returncode:
            raise Broken(f"{' '.join(command)} failed:\n{built.stderr}")
        making.replace(program)
    return program


def python_module(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a module with our own interpreter."""
    return (sys.executable, "-m", name, *arguments)


class Program:
    """One child; its standard error is ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *command: str) -> "Program":
        """Start ``command``."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def tell(self, text: bytes) -> None:
        """Send what has no answer. Raises Broken."""
        assert self._process.stdin is not None
        if self._process.stdin.is_closing():
            raise Broken(ENDED)
        self._process.stdin.write(text)

    async def ask(self, command: str) -> dict[str, Any]:
        """Send a command and return the answer. Raises Broken."""
        self.tell(f"{command}\n".encode())
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        """Return the next line. Raises Broken."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(ANSWER_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise Broken(f"no answer within {ANSWER_S:g} s") from None
        if not line:
            raise Broken(ENDED)
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def stop(self) -> None:
        """End it at once: there is nothing to save."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write what a program reads as a file."""
    path.write_text("".join(f"{line}\n" for line in lines))
