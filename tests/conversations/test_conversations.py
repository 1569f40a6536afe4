"""Both clients play every conversation, and scripts that cannot be meant are refused."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tests.conversations.client import ClientProcess
from tests.conversations.play import Mismatch, Play
from tests.conversations.script import SCRIPTS, BadScript, Script, load, load_all

DRIVER = ROOT / "clients/js/tests/support/driver.js"
CLIENTS = {
    "python": [sys.executable, "-m", "tests.conversations.python_client"],
    "javascript": ["node", "--no-warnings", "--experimental-websocket", str(DRIVER)],
}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[ClientProcess]:
    """One process plays all conversations."""
    process = ClientProcess(CLIENTS[request.param])
    yield process
    runner.run(process.stop())


@pytest.mark.parametrize("script", load_all(), ids=str)
def test_a_client_holds_its_part_of_the_conversation(
    script: Script, client: ClientProcess, runner: asyncio.Runner
) -> None:
    async def play() -> None:
        try:
            await Play(script, client).run()
        except BaseException:
            await client.stop()  # what it would still say must not be heard in the next one
            raise

    runner.run(play())


def a_script(folder: Path, steps: str, head: str = "over: [websocket]\nbegins: {orders:42: 3}\n") -> Path:
    path = folder / "a-script.yaml"
    path.write_text(f"guards: That a script which says what cannot be is refused.\n{head}steps:\n{steps}")
    return path


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ("  - hear: {type: pong}\n", "a step has one verb"),
        ("  - cut\n  - cut: now\n", ":6: "),
        ("  - hears: {type: pnog}\n", "'pnog' is no frame of this side"),
        ("  - hears: {type: publication}\n", "'publication' is no frame of this side"),
        ("  - send: {type: publication, chanel: orders:42}\n", "`publication` has no field chanel"),
        ("  - welcome: {pings: 3}\n", "`connected` has no field pings"),
        ("  - states: [conected]\n", "'conected' is no state"),
        ("  - quiet: soon\n", ":5: "),
        ("  - close: {code: 4000, slugg: x}\n", "slugg"),
        ("  - send: {type: ping}\n    on: first\n", "on"),
        ("  - stop\n  - states: [closed]\nsteps:\n  - stop\n", "'steps' is said twice"),
        ("  - applies:\n", "needs to be told what"),
    ],
)
def test_a_script_with_a_typing_mistake_is_refused(tmp_path: Path, steps: str, why: str) -> None:
    with pytest.raises(BadScript, match=why):
        load(a_script(tmp_path, steps))


def test_a_script_that_does_not_say_how_it_begins_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadScript, match="the first step is `start`"):
        load(a_script(tmp_path, "  - stop\n", "over: [websocket]\n"))


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (
            "  - hears: {type: publish}\n",
            [
                "step 6 (a-script.yaml, line 5)",
                "expected on connection 1: {'type': 'publish'}",
                "got      nothing within",
            ],
        ),
        (
            "  - publish: {channel: orders:42, data: 1}\n  - hears: {type: publish, data: 2}\n",
            ["line 6", "at data: expected 2, got 1"],
        ),
        ("  - cut\n  - quiet: 5\n", ["nothing may happen", "'state': 'disconnected'"]),
        ("  - stands: {orders:42: {epoch: e1, offset: 4}}\n", ["at orders:42.offset: expected 4, got 3"]),
    ],
)
def test_what_is_not_as_expected_is_told_with_its_place(
    tmp_path: Path, runner: asyncio.Runner, steps: str, told: list[str]
) -> None:
    [script] = load(a_script(tmp_path, steps))
    process = ClientProcess(CLIENTS["javascript"])

    async def play() -> str:
        try:
            with pytest.raises(Mismatch) as wrong:
                await Play(script, process, patience_s=1).run()
        finally:
            await process.stop()
        return str(wrong.value)

    report = runner.run(play())
    assert [each for each in told if each not in report] == [], report


def test_each_script_guards_something_else() -> None:
    guards = [load(path)[0].guards for path in SCRIPTS.glob("*.yaml")]
    assert len(set(guards)) == len(guards)
