"""Logs are events with fields, readable by people or by machines."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from whimbrel.runtime import logs


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log = logs.setup("edge", "edge-0")
    log.info("session.closed", session="s1", code=4001, duration_s=1.23456, reason="no pong")
    assert re.fullmatch(
        r'\d\d:\d\d:\d\d\.\d{3} edge     session\.closed session=s1 code=4001 duration_s=1\.235 reason="no pong"\n',
        capsys.readouterr().err,
    )


def test_a_value_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("edge", "edge-0").info("frame.refused", reason='x\n12:00:00.000 edge service.stopped clean="yes"')
    assert capsys.readouterr().err.count("\n") == 1


def test_a_line_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    log = logs.setup("edge", "edge-0", log_format="json").bind(purpose="main")
    log.warning("bus.disconnected", code=1, level="not this", text="ü\n")
    line = json.loads(capsys.readouterr().err)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", line.pop("time"))
    assert line == {
        "level": "warning",
        "service": "edge",
        "instance": "edge-0",
        "event": "bus.disconnected",
        "purpose": "main",
        "code": 1,
        "text": "ü\n",
    }


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log = logs.setup("edge", "edge-0", level="warning")
    log.info("session.opened")
    log.debug("session.opened")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_fault_of_ours_brings_its_traceback(capsys: pytest.CaptureFixture[str], log_format: logs.Format) -> None:
    log = logs.setup("edge", "edge-0", log_format=log_format)
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        log.exception("http.failed", error, path="/v1/poll")
    said = capsys.readouterr().err
    assert "http.failed" in said
    assert "/v1/poll" in said
    assert "ZeroDivisionError: integer division" in said
    assert "in test_a_fault_of_ours_brings_its_traceback" in said


def test_libraries_log_in_the_same_form_under_their_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("edge", "edge-0", log_format="json")
    logging.getLogger("some.library").warning("went %s", "wrong")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["message"], line["level"]) == ("some.library", "went wrong", "warning")


def test_what_uvicorn_and_nats_py_say_of_their_daily_life_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("edge", "edge-0", level="debug")
    for name in ("uvicorn.error", "uvicorn.access", "asyncio"):
        logging.getLogger(name).info("Started server process")
    logging.getLogger("nats.aio.client").warning("news that the error callback gets as well")
    assert capsys.readouterr().err == ""
