"""What stands between a browser and the edge: real proxies, configured as the documentation shows, or with the one line
changed that breaks it.
"""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.edge.pairs import Pair
from tests.support.waiting import within

ROOT: Final = Path(__file__).parents[2]
PROXIES: Final = ROOT / "deploy/proxies"
PAGE: Final = Path(__file__).with_name("page")
CLIENT: Final = ROOT / "clients/js/src"
HOST: Final = "127.0.0.1"
START_S: Final = 60
END_S: Final = 20
IDLE_S: Final = 1  # what is silent for so long is cut: well before the edge's heartbeat

Change = Mapping[str, str]

UPGRADE: Final = "proxy_set_header Upgrade $http_upgrade;"
BUFFERING: Final = "proxy_buffering off;"
# By port of nginx: the documented configuration, with what is changed in it.
SITES: Final[Mapping[str, Change]] = {
    "good": {},
    "no-upgrade": {UPGRADE: ""},
    "idle": {"proxy_read_timeout 75s;": f"proxy_read_timeout {IDLE_S}s;"},
    "buffering": {UPGRADE: "", BUFFERING: "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"},
}
PORTS: Final = ("page", *SITES, "haproxy", "squid", "mitmproxy")

# The far side of a company's proxy that lets through what is encrypted, and only that.
SQUID: Final = """
http_port {host}:{port}
acl connect method CONNECT
http_access allow connect
http_access deny all
pid_filename none
access_log none
cache_log {folder}/squid.log
cache deny all
coredump_dir {folder}
shutdown_lifetime 0 seconds
pinger_enable off
"""

NGINX: Final = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    include /etc/nginx/mime.types;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {shared}
    server {{
        listen {host}:{page};
        {files}
    }}
    {sites}
}}
"""

FILES: Final = f"""
        root {PAGE};
        add_header Cache-Control no-store;
        location /whimbrel/ {{ alias {CLIENT}/; add_header Cache-Control no-store; }}
"""


class Absent(Exception):
    """A program is missing; the message says how to install it."""


@dataclass(frozen=True)
class Program:
    """A program that a cell needs, and Debian's package that brings it."""

    package: str
    commands: tuple[str, ...]

    def path(self) -> str:
        """Return where it is. Raises Absent."""
        folders = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"  # a user's own PATH leaves out where servers are
        found = next((path for each in self.commands if (path := shutil.which(each, path=folders))), None)
        if found is None:
            raise Absent(f"there is no {self.commands[0]} on this machine (on Debian: apt-get install {self.package})")
        return found


CHROMIUM: Final = Program("chromium", ("chromium", "google-chrome", "chromium-browser"))
FIREFOX: Final = Program("firefox-esr", ("firefox-esr", "firefox"))
NGINX_PROGRAM: Final = Program("nginx-light", ("nginx",))
HAPROXY: Final = Program("haproxy", ("haproxy",))
SQUID_PROGRAM: Final = Program("squid", ("squid",))
MITMPROXY: Final = Program("mitmproxy", ("mitmdump",))


@contextmanager
def free_ports() -> Iterator[Mapping[str, int]]:
    """Keep a port for everything until the end of the block: nobody who asks for a free one is given it."""
    with ExitStack() as holding:
        ports: dict[str, int] = {}
        for name in PORTS:
            held = holding.enter_context(socket.socket())
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((HOST, 0))
            ports[name] = held.getsockname()[1]
        yield ports


def origins(ports: Mapping[str, int]) -> list[str]:
    """Return the origins of all pages."""
    return [f"http://{HOST}:{ports['page']}", *(f"https://{HOST}:{ports[name]}" for name in SITES)]


class Networks:
    """Proxies in front of one edge; each is started when it is first needed."""

    def __init__(self, folder: Path, ports: Mapping[str, int], edge: str) -> None:
        self._folder = folder
        self._ports = ports
        self._edge = edge
        self._running = AsyncExitStack()
        self._started: set[str] = set()
        self._pair = Pair(folder / "tls.crt", folder / "tls.key")
        self._pair.issue()

    async def page(self) -> str:
        """Return the address of the page, served without encryption."""
        await self._nginx()
        return f"http://{HOST}:{self._ports['page']}/"

    async def site(self, name: str) -> str:
        """Return the address of the page on a site of SITES, which serves the edge as well."""
        await self._nginx()
        return f"https://{HOST}:{self._ports[name]}/"

    async def haproxy(self) -> str:
        """Return the address of HAProxy in front of the edge."""
        port, pem = self._ports["haproxy"], self._folder / "tls.pem"
        pem.write_bytes(self._pair.chain.read_bytes() + self._pair.key.read_bytes())
        documented = (PROXIES / "haproxy.cfg").read_text()
        changes = {":443": f"{HOST}:{port}", "/etc/haproxy/tls.pem": str(pem), f"{HOST}:8080": self._edge}
        (self._folder / "haproxy.cfg").write_text(changed(documented, changes))
        await self._run(HAPROXY, "haproxy", "-db", "-f", str(self._folder / "haproxy.cfg"))
        return f"https://{HOST}:{port}"

    async def proxy(self, name: str) -> str:
        """Return host and port of a proxy for browsers: squid, which allows CONNECT and nothing else, or mitmproxy,
        which decrypts everything with a certificate of its own.
        """
        return await (self._squid() if name == "squid" else self._mitmproxy())

    async def _squid(self) -> str:
        text = SQUID.format(host=HOST, port=self._ports["squid"], folder=self._folder)
        (self._folder / "squid.conf").write_text(text)
        await self._run(SQUID_PROGRAM, "squid", "-N", "-f", str(self._folder / "squid.conf"))
        return f"{HOST}:{self._ports['squid']}"

    async def _mitmproxy(self) -> str:
        port = str(self._ports["mitmproxy"])
        options = ("--listen-host", HOST, "--listen-port", port, "--ssl-insecure", "--quiet")
        await self._run(MITMPROXY, "mitmproxy", *options, "--set", f"confdir={self._folder / 'mitmproxy'}")
        return f"{HOST}:{port}"

    async def stop(self) -> None:
        """End them all."""
        await self._running.aclose()

    async def _nginx(self) -> None:
        head, server, rest = (PROXIES / "nginx.conf").read_text().partition("server {\n    listen")
        shared = changed(head, {f"{HOST}:8080": self._edge})
        sites = [self._site(server + rest, name, change) for name, change in SITES.items()]
        text = NGINX.format(
            folder=self._folder,
            user="user root;" if os.geteuid() == 0 else "",  # else its worker may not read a checkout
            shared=shared,
            host=HOST,
            page=self._ports["page"],
            files=FILES,
            sites="\n".join(sites),
        )
        (self._folder / "nginx.conf").write_text(text)
        options = ("-e", str(self._folder / "nginx.log"), "-c", str(self._folder / "nginx.conf"))
        await self._run(NGINX_PROGRAM, "page", *options)

    def _site(self, documented: str, name: str, change: Change) -> str:
        own = {
            "443 ssl": f"{HOST}:{self._ports[name]} ssl",
            "push.example.com;": f"{HOST};\n{FILES}",
            "/etc/nginx/tls/tls.crt": str(self._pair.chain),
            "/etc/nginx/tls/tls.key": str(self._pair.key),
        }
        return changed(documented, {**own, **change})

    async def _run(self, program: Program, port: str, *options: str) -> None:
        if port not in self._started:
            await self._running.enter_async_context(_running((program.path(), *options), self._ports[port]))
            self._started.add(port)


def changed(text: str, changes: Change) -> str:
    """Return ``text`` with each of these replaced; each must be there once."""
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} stands in it {text.count(old)} times"
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def _running(command: Sequence[str], port: int) -> AsyncIterator[None]:
    """Run a server from when it listens until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await within(_listening(process, port), START_S)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await within(process.wait(), END_S)
        except TimeoutError:
            process.kill()


async def _listening(process: asyncio.subprocess.Process, port: int) -> None:
    while process.returncode is None:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    assert process.stdout is not None
    raise AssertionError(f"it ended with {process.returncode}: {(await process.stdout.read()).decode()}")
