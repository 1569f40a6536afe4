"""Structured logs: past-tense events with fields, for people as text or for machines as JSON.

``log.info("session.closed", session=…, code=…)``. Never payloads, tokens or secrets: what is passed here is written
as it is.
"""

import json
import logging
import re
import sys
import time
import traceback
from typing import Final, Literal

Format = Literal["text", "json"]

_LEVELS: Final = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_JSON: Final = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":"))  # made once: 4 µs otherwise
_WORD: Final = re.compile(r'[^ "=]+')
_NOISY: Final = ("uvicorn.access", "httpx", "httpcore", "asyncio")


class Logger:
    """Writes events of one process (or of one part of it) with the fields bound to it."""

    __slots__ = ("_fields", "_logger")

    def __init__(self, logger: logging.Logger, fields: dict[str, object] | None = None) -> None:
        self._logger = logger
        self._fields = fields or {}

    def bind(self, **fields: object) -> "Logger":
        """Return a logger that adds ``fields`` to each event."""
        return Logger(self._logger, {**self._fields, **fields})

    def debug(self, event: str, **fields: object) -> None:
        """Write what only a developer looks for."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Write what an operator wants to find later."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Write what mended itself but should not happen often."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Write what somebody has to look at."""
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, error: BaseException, **fields: object) -> None:
        """Write a fault of ours with its traceback."""
        if self._logger.isEnabledFor(logging.ERROR):
            self._logger.error(event, exc_info=error, extra={"fields": {**self._fields, **fields}})

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": {**self._fields, **fields}})


def setup(service: str, instance: str, *, level: str = "info", log_format: Format = "text") -> Logger:
    """Route all logging of the process, that of libraries included, to stderr and return the service's logger."""
    # What nobody reads is not looked for, as logging's own manual advises: a third of what a line costs.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    stderr = logging.StreamHandler(sys.stderr)
    stderr.setFormatter(JsonFormatter(service, instance) if log_format == "json" else TextFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [stderr]
    root.setLevel(level.upper())
    for name in _NOISY:  # their news are ours to tell, or nobody's
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, root.level))
    # nats-py logs what its error callback tells us as well.
    logging.getLogger("nats").setLevel(logging.ERROR)
    return Logger(logging.getLogger(f"whimbrel.{service}"))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, service, instance, event, then the fields."""

    def __init__(self, service: str, instance: str) -> None:
        super().__init__()
        self._process = {"service": service, "instance": instance}
        self._second = 0
        self._clock = ""  # of that second: lines come in bursts

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of ``record``."""
        second = int(record.created)
        if second != self._second:
            self._second, self._clock = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        head = {
            "time": f"{self._clock}.{int(record.msecs):03d}+00:00",
            "level": _LEVELS.get(record.levelno, "error"),
            **self._process,
            "event": _event(record),
        }
        return _JSON.encode({**head, **_fields(record), **head})  # nothing overrides the head


class TextFormatter(logging.Formatter):
    """A line for a terminal: ``05:47:12.031 edge session.closed session=… code=…``."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of ``record``, with a traceback below where there is one."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno <= logging.INFO else f" {_LEVELS.get(record.levelno, 'error').upper()}"
        fields = _fields(record)
        trace = fields.pop("traceback", None)
        words = "".join(f" {name}={_word(value)}" for name, value in fields.items())
        line = f"{clock}.{int(record.msecs):03d} {self._service:<8}{level} {_event(record)}{words}"
        return f"{line}\n{trace}" if trace else line


def _event(record: logging.LogRecord) -> str:
    return record.getMessage() if hasattr(record, "fields") else record.name


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = dict(getattr(record, "fields", None) or {"message": record.getMessage()})
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields["error"] = f"{type(error).__name__}: {error}"
        fields["traceback"] = "".join(traceback.format_exception(error)).rstrip()
    return fields


def _word(value: object) -> str:
    # Quoted whenever it could be mistaken for more than one word, or forge a line.
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() and _WORD.fullmatch(text) else json.dumps(text, ensure_ascii=False)
