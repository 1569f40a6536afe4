"""nchan, a module of nginx in C: subscribers connect to the channel in their path, publications come by POST."""

import asyncio
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from bench.load import Transport
from bench.machine import raise_file_limit
from bench.meter import Meter
from bench.pacing import beats
from bench.peers.packages import HERE, Absent, nginx
from bench.publications import Numbers
from whimbrel.protocol.channels import Channel

START_S: Final = 10.0
ANSWER_S: Final = 60.0
PRIVATE: Final = 'mount -t tmpfs none /var/lib && mkdir /var/lib/nginx && exec "$@"'
"""Debian's nginx insists on a folder in /var/lib that only root can make: it gets one that only itself can see."""


class Nchan:
    """nginx with one worker. It checks no tokens."""

    name = "nchan"
    transport: Transport = "nchan"
    gives_inbox = False

    def __init__(
        self, process: asyncio.subprocess.Process, port: int, folder: tempfile.TemporaryDirectory[str], version: str
    ) -> None:
        self.port = port
        self._process = process
        self._folder = folder
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        self.meter = Meter({"server": int(worker)})
        self.version = version
        self._numbers = Numbers()
        self._publisher: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @classmethod
    async def start(cls, mint: Callable[[str], str], secret: str) -> Self:
        """Start nginx on a free port. Raises Absent."""
        program, module = await nginx()
        folder = tempfile.TemporaryDirectory(prefix="whimbrel-bench-nchan-")
        root = Path(folder.name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        text = (HERE / "nginx.conf").read_text()
        for name, value in {"module": module, "folder": root, "port": port, "files": raise_file_limit()}.items():
            text = text.replace("{{" + name + "}}", str(value))
        (root / "nginx.conf").write_text(text)
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--map-root-user", "sh", "-c", PRIVATE, "sh"),
            *(program, "-p", f"{root}/", "-e", str(root / "nginx.log"), "-c", str(root / "nginx.conf")),
            stderr=(root / "nginx.log").open("wb"),
        )
        for _ in range(int(START_S / 0.05)):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.returncode is not None:
                    break
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return cls(process, port, folder, await _version(program))
        said = (root / "nginx.log").read_text()
        folder.cleanup()
        raise Absent(f"nginx does not start here: {said.strip() or 'it said nothing'}")

    def line(self, user: str, channels: Sequence[Channel]) -> str:
        """Return the path of a client."""
        return f"/live/{'/'.join(str(channel) for channel in channels)}"

    def kept(self, channel: Channel) -> str:
        """Return the path of a client who wants what is kept of ``channel``."""
        return f"/kept/{channel}"

    def poll(self, channel: Channel) -> str:
        """Return the path of a client who polls for what is kept of ``channel`` from now on."""
        return f"/poll/{channel}"

    async def publish(self, rate: float, count: int, channels: Sequence[Channel], *, series: int) -> None:
        """Post ``count`` publications over one connection, ``rate`` per second, to one channel after the other."""
        await self._post("live", rate, count, channels, series)

    async def keep(self, rate: float, count: int, channels: Sequence[Channel], *, series: int) -> None:
        """Post them to where the last hundred are kept."""
        await self._post("kept", rate, count, channels, series)

    async def _post(self, where: str, rate: float, count: int, channels: Sequence[Channel], series: int) -> None:
        if self._publisher is None:
            self._publisher = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._publisher

        def beat(number: int, due_ns: int) -> None:
            channel = channels[number % len(channels)]
            frame = self._numbers.frame(channel, series, due_ns)
            head = f"POST /{where}/publish/{channel} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(frame)}\r\n\r\n"
            writer.write(head.encode() + frame)

        async def answers() -> None:
            for _ in range(count):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 20"), head
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))

        async with asyncio.timeout(ANSWER_S + count / rate):
            await asyncio.gather(beats(rate, count, beat), answers())

    async def stop(self) -> None:
        """End it."""
        if self._publisher is not None:
            self._publisher[1].close()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        self._folder.cleanup()


async def _version(program: str) -> str:
    asking = await asyncio.create_subprocess_exec(program, "-v", stderr=asyncio.subprocess.PIPE)
    _, said = await asking.communicate()
    return f"in {said.decode().rpartition(' ')[2].strip()}"
