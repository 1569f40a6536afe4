"""Peers come from the package registries, by name, into `.cache/bench`: nothing of the machine is changed."""

import asyncio
import hashlib
import json
import shutil
from pathlib import Path
from typing import Final

from bench.program import BUILT, Broken

HERE: Final = Path(__file__).parent
PINS: Final = ("package.json", "package-lock.json")
NGINX_PACKAGES: Final = ("nginx", "libnginx-mod-nchan")
FETCH_S: Final = 300.0


class Absent(Broken):
    """A peer cannot be had here; the message says what to install."""


def pinned(package: str) -> str:
    """Return the version of an npm package that is measured."""
    version: str = json.loads((HERE / "package.json").read_text())["dependencies"][package]
    return version


async def scripts() -> Path:
    """Return a folder with our scripts and the npm packages that they use, in the versions of package-lock.json.

    Raises Absent.
    """
    sources = sorted(path for path in HERE.iterdir() if path.suffix == ".mjs" or path.name in PINS)
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in PINS)).hexdigest()
    folder = BUILT / f"npm-{digest[:12]}"
    ready = folder / "node_modules/.package-lock.json"
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        shutil.copy(source, folder)
    if not ready.exists():
        await _run("npm", "ci", "--silent", "--no-audit", "--no-fund", within=folder, needs="Node.js with npm")
    return folder


async def nginx() -> tuple[str, str]:
    """Return the paths of nginx and of its module nchan: the machine's own, or unpacked from Debian's packages.

    Raises Absent.
    """
    unpacked, needs = BUILT / "nginx", f"apt-get install {' '.join(NGINX_PACKAGES)}"
    found = _nginx_below(Path("/")) or _nginx_below(unpacked)
    if not found:
        unpacked.mkdir(parents=True, exist_ok=True)
        await _run("apt-get", "download", "-q", *NGINX_PACKAGES, within=unpacked, needs=needs)
        for package in unpacked.glob("*.deb"):
            await _run("dpkg-deb", "-x", package.name, ".", within=unpacked, needs=needs)
            package.unlink()
        found = _nginx_below(unpacked)
    if not found:
        raise Absent(f"Debian's packages have no nchan here; it needs {needs}")
    return found


def _nginx_below(root: Path) -> tuple[str, str] | None:
    program, module = root / "usr/sbin/nginx", root / "usr/lib/nginx/modules/ngx_nchan_module.so"
    return (str(program), str(module)) if program.exists() and module.exists() else None


async def _run(*command: str, within: Path, needs: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=within,
        )
    except FileNotFoundError:
        raise Absent(f"it needs {needs}") from None
    try:
        async with asyncio.timeout(FETCH_S):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Absent(f"`{' '.join(command)}` did not end within {FETCH_S:g} s; it needs {needs}") from None
    if code:
        raise Absent(f"`{' '.join(command)}` failed; it needs {needs}")
