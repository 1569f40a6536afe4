"""An echo server made of the edge's own WebSocket: its head, handshake, inlet and frame writer, without a session.

``python -m tests.conformance.echo`` prints its port and serves until its standard input ends. Where the edge would
close with a code of the contract, the echo closes with the one of RFC 6455 §7.4.1 that says the same, as Autobahn
expects.
"""

import asyncio
import struct
import sys
from typing import Final, cast

import uvloop

from whimbrel.edge.shell import handshake
from whimbrel.edge.shell.deflate import Deflater
from whimbrel.edge.shell.fanout import text_message
from whimbrel.edge.shell.httpwire import read_head
from whimbrel.edge.shell.inbound import Alive, Binary, Inlet, PeerClosed, Text, TooLarge, Violation

LIMIT: Final = 16 * 1024 * 1024  # Autobahn's largest message; the edge takes 64 KiB
PROTOCOL_ERROR, NOT_UTF8, TOO_LARGE = 1002, 1007, 1009


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.head = b""
        self.inlet: Inlet | None = None
        self.deflater: Deflater | None = None

    def data_received(self, data: bytes) -> None:
        if self.inlet is None:
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            accepted = handshake.read_upgrade(read_head(head + end)[0], deflate=True).accept()
            self.transport.write(accepted.answer)
            self.inlet = Inlet(LIMIT, deflated=accepted.deflated)
            self.deflater = Deflater() if accepted.deflated else None
        for event in self.inlet.feed(data):
            match event:
                case Text(payload):
                    try:
                        payload.decode()
                    except UnicodeDecodeError:
                        self.end(NOT_UTF8)
                    else:
                        self.say(text_message(payload))
                case Binary(payload):
                    self.say(b"\x82" + text_message(payload)[1:])
                case Alive(answer) if answer:
                    self.transport.write(answer)
                case PeerClosed(answer):
                    self.transport.write(answer)
                    self.transport.close()
                case TooLarge():
                    self.end(TOO_LARGE)
                case Violation():
                    self.end(PROTOCOL_ERROR)

    def say(self, message: bytes) -> None:
        self.transport.write(message if self.deflater is None else self.deflater.compress(message))

    def end(self, code: int) -> None:
        self.transport.write(b"\x88\x02" + struct.pack("!H", code))
        self.transport.close()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
