"""The repository as the architecture tests see it."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Member:
    """One distribution of the workspace."""

    path: Path

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        return tomllib.loads((self.path / "pyproject.toml").read_text())

    @property
    def name(self) -> str:
        return str(self.pyproject["project"]["name"])

    @property
    def package(self) -> str:
        """The dotted name of what it provides: ``whimbrel.edge`` of ``whimbrel-edge``."""
        return str(self.pyproject["tool"]["uv"]["build-backend"]["module-name"])

    @property
    def portion(self) -> Path:
        return self.path / "src" / self.package.replace(".", "/")

    @property
    def dependencies(self) -> dict[str, Requirement]:
        """What it declares, by canonical name; extras are for whoever installs it, not for its imports."""
        declared = map(Requirement, self.pyproject["project"]["dependencies"])
        return {canonicalize_name(requirement.name): requirement for requirement in declared}

    @property
    def modules(self) -> Iterator[Path]:
        return self.portion.rglob("*.py")


def members() -> list[Member]:
    """Return the members that the workspace lists, sorted by path."""
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    return [
        Member(path)
        for pattern in workspace
        for path in sorted(ROOT.glob(pattern))
        if (path / "pyproject.toml").exists()
    ]


def tracked(*patterns: str) -> list[Path]:
    """Return the text files that are committed, or new and not ignored."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file() and b"\0" not in (ROOT / name).read_bytes()[:4096]]


def lines_with(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    """Return ``path:line: text`` of every line of ``paths`` that ``pattern`` finds."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))
