"""Codes are fixed for ever: number, slug, and whether to come back."""

from tests.protocol.vectors import Vector, every, vectors
from whimbrel.protocol.codes import CloseCode, ErrorCode, may_reconnect

CLOSE = {int(code): code for code in CloseCode}
ERRORS = {int(code): code for code in ErrorCode}


def test_there_are_no_codes_but_those_of_the_contract() -> None:
    assert [code.value for code in CloseCode] == [vector["code"] for vector in vectors("codes.json", "close")]
    assert [code.value for code in ErrorCode] == [vector["code"] for vector in vectors("codes.json", "errors")]


@every("codes.json", "close")
def test_a_close_code_says_whether_to_come_back(vector: Vector) -> None:
    code = CLOSE[vector["code"]]
    assert (code.slug, code.reconnect) == (vector["slug"], vector["reconnect"])
    assert code.name == code.slug.upper()


@every("codes.json", "unknown_close")
def test_an_unknown_close_code_is_taken_by_its_range(vector: Vector) -> None:
    assert may_reconnect(vector["code"]) == vector["reconnect"]


@every("codes.json", "errors")
def test_an_error_code_says_whether_to_try_again(vector: Vector) -> None:
    code = ERRORS[vector["code"]]
    assert (code.slug, code.temporary) == (vector["slug"], vector["temporary"])
    assert code.name == code.slug.upper()


def test_every_code_comes_with_advice() -> None:
    for code in (*CloseCode, *ErrorCode):
        assert code.advice.endswith(".")
