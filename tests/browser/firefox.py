"""Firefox by WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/), which it speaks itself: no driver beside it."""

import asyncio
import json
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.browser.tabs import Browser, Tab

LISTENING: Final = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
START_S: Final = 60
END_S: Final = 20
PREFERENCES: Final = {
    "remote.prefs.recommended": True,  # nothing calls home, nothing asks
    "network.proxy.allow_hijacking_localhost": True,  # else it goes to this machine directly, whatever the proxy
}


class Refused(Exception):
    """The browser could not do what it was asked to."""


class Conversation:
    """Commands and their answers on one WebSocket; events are not asked for."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self._reading = asyncio.create_task(self._read())

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a command. Raises Refused."""
        self._asked += 1
        number, answer = self._asked, asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        said = await answer
        if said["type"] != "success":
            raise Refused(f"{method}: {said['error']}: {said['message']}")
        result: dict[str, Any] = said["result"]
        return result

    async def close(self) -> None:
        await self._socket.close()
        await self._reading

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for text in self._socket:
                said = json.loads(text)
                answer = self._answers.pop(said.get("id"), None)
                if answer is not None and not answer.done():
                    answer.set_result(said)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Refused("the browser is gone"))


class Firefox(Browser):
    name = "Firefox"

    def __init__(self, program: str) -> None:
        self._program = program
        self._profile = tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
        Path(self._profile.name, "user.js").write_text("".join(lines))
        self._process: asyncio.subprocess.Process
        self._conversation: Conversation
        self._pid = 0

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(self._program, "--headless", "--no-remote", "--remote-debugging-port=0"),
            *("--profile", self._profile.name, "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(START_S):
            socket = await connect(f"{await self._address()}/session", max_size=None, proxy=None)
            self._conversation = Conversation(socket)
            session = await self._conversation.ask("session.new", capabilities={})
        self._pid = session["capabilities"]["moz:processID"]
        self.version = session["capabilities"]["browserVersion"].partition(".")[0]

    async def stop(self) -> None:
        with suppress(Refused):
            await self._conversation.ask("browser.close")
        await self._conversation.close()
        try:
            async with asyncio.timeout(END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._said.cancel()
        self._profile.cleanup()

    async def tab(self, *, proxy: str = "", script: str = "") -> Tab:
        ask = self._conversation.ask
        asked = {"proxyType": "manual", "httpProxy": proxy, "sslProxy": proxy} if proxy else {"proxyType": "direct"}
        user = (await ask("browser.createUserContext", acceptInsecureCerts=True, proxy=asked))["userContext"]
        if script:
            await ask("script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}", userContexts=[user])
        context = (await ask("browsingContext.create", type="tab", userContext=user))["context"]
        return FirefoxTab(self._conversation, user, context)

    async def renderers(self) -> Sequence[int]:
        return [pid for pid in _descendants(self._pid) if _kind(pid) == "tab"]

    async def _address(self) -> str:
        assert self._process.stderr is not None
        stderr = self._process.stderr
        async for line in stderr:
            if found := LISTENING.search(line):
                self._said = asyncio.create_task(_drain(stderr))
                return found[1].decode()
        raise Refused("Firefox ended before it listened")


class FirefoxTab(Tab):
    def __init__(self, conversation: Conversation, user: str, context: str) -> None:
        self._ask = conversation.ask
        self._user = user
        self._context = context

    async def go(self, url: str) -> None:
        await self._ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def call(self, function: str, *arguments: Any) -> Any:
        # What comes and goes is JSON: BiDi's own notation of values has no advantage here.
        told = await self._ask(
            "script.callFunction",
            functionDeclaration=f"async (text) => JSON.stringify(await window.{function}(...JSON.parse(text)))",
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            target={"context": self._context},
            awaitPromise=True,
        )
        if told["type"] != "success":
            raise Refused(f"{function}: {told['exceptionDetails']['text']}")
        return json.loads(told["result"].get("value", "null"))

    async def offline(self, offline: bool) -> None:
        conditions = {"type": "offline"} if offline else None
        await self._ask("emulation.setNetworkConditions", networkConditions=conditions, contexts=[self._context])

    async def close(self) -> None:
        await self._ask("browsingContext.close", context=self._context)
        await self._ask("browser.removeUserContext", userContext=self._user)


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


def _descendants(pid: int) -> list[int]:
    children = [int(each) for path in Path(f"/proc/{pid}/task").glob("*/children") for each in path.read_text().split()]
    return [*children, *(each for child in children for each in _descendants(child))]


def _kind(pid: int) -> str:
    """Return the last word of the command line, where Firefox says what a process is for."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").split()
    return words[-1].decode() if words else ""
