"""Reading Server-Sent Events, as far as frames need it (WHATWG HTML, §9.2.6): bytes in, the data of events out."""

from typing import Final

from whimbrel.protocol.errors import MalformedFrame

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024  # as of a WebSocket message; what is larger is no edge
_BOM: Final = b"\xef\xbb\xbf"


class EventStream:
    """One response. Fields other than ``data`` are passed over: a frame says itself what it is and where it stands."""

    def __init__(self) -> None:
        self._line = bytearray()  # of which the end has not come yet
        self._data: list[bytes] = []
        self._size = 0
        self._begun = False
        self._after_return = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes; return the data of the events that are complete, in order.

        Raises MalformedFrame where an event is over MAX_EVENT_BYTES.
        """
        if not chunk:
            return []
        if self._after_return and chunk[:1] == b"\n":
            chunk = chunk[1:]  # of a \r\n that was cut in two
        self._after_return = chunk[-1:] == b"\r"
        *ended, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        complete: list[bytes] = []
        for line in ended:
            self._line += line
            complete += self._take(bytes(self._line))
            self._line.clear()
        self._line += rest
        if self._size + len(self._line) > MAX_EVENT_BYTES:
            raise MalformedFrame(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return complete

    def _take(self, line: bytes) -> list[bytes]:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            data, self._data, self._size = self._data, [], 0
            return [b"\n".join(data)] if data else []
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
        return []
