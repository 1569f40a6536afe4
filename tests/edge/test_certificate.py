"""The files of the certificate: read at the start, looked at for changes, never taken half."""

import shutil
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.edge.neighbours import LOG
from tests.edge.pairs import Pair
from whimbrel.edge.settings import Settings
from whimbrel.edge.shell.certificate import Certificate
from whimbrel.runtime.errors import StartRefused


def test_files_that_make_no_pair_leave_the_old_certificate_until_they_do(pair: Pair, tmp_path: Path) -> None:
    certificate = Certificate(pair.chain, pair.key, LOG)
    expires, served = certificate.expires, certificate._newest
    assert expires == pytest.approx((datetime.now(UTC) + timedelta(days=90)).timestamp(), abs=60)
    other = Pair(tmp_path / "other.crt", tmp_path / "other.key")
    other.issue(days=30)
    good_key = pair.key.read_bytes()
    spoilt: list[Callable[[], object]] = [
        lambda: pair.chain.write_text("garbage"),
        lambda: shutil.copy(other.chain, pair.chain),  # whose key is still the old one
        lambda: pair.key.write_bytes(good_key[:-40]),
        lambda: other.issue(password=b"secret") and shutil.copy(other.chain, pair.chain),
        pair.key.unlink,
        pair.chain.unlink,
    ]
    for number, spoil in enumerate(spoilt, start=1):
        spoil()
        certificate.look()
        assert (certificate.loads["failed"], certificate.loads["loaded"]) == (number, 0)
        assert (certificate.expires, certificate._newest) == (expires, served)
    pair.issue(days=30)
    certificate.look()
    assert certificate.loads["loaded"] == 1
    assert certificate.expires < expires
    certificate.look()
    assert certificate.loads["loaded"] == 1, "unchanged files are not loaded again"


def test_an_edge_does_not_start_with_a_certificate_that_it_cannot_use(pair: Pair) -> None:
    pair.key.write_text("no key")
    with pytest.raises(StartRefused, match=r"tls\.crt with the key in .*tls\.key cannot be used"):
        Certificate(pair.chain, pair.key, LOG)
    with pytest.raises(StartRefused, match="No such file"):
        Certificate(pair.chain.with_name("away"), pair.key, LOG)


def test_a_certificate_without_its_key_is_no_setting() -> None:
    with pytest.raises(ValidationError, match="or neither"):
        Settings.model_validate({"tls_certificate": "tls.crt"})


def test_nothing_older_than_tls_1_2_is_spoken(pair: Pair) -> None:
    certificate = Certificate(pair.chain, pair.key, LOG)
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2
