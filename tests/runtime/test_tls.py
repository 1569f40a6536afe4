"""The same connection over TLS, where nats-py replaces the stream that we gave it."""

import asyncio
import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.nats import NatsServer
from tests.support.waiting import within
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

CONFIG = """
host: 127.0.0.1
port: $WHIMBREL_NATS_PORT
http_port: $WHIMBREL_NATS_MONITOR_PORT
tls {{ cert_file: "{folder}/cert.pem", key_file: "{folder}/key.pem" }}
"""


def write_certificate(folder: Path) -> None:
    """Write a key and a certificate for 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nats of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(pem)


async def test_messages_arrive_and_a_killed_server_is_reconnected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Logger
) -> None:
    write_certificate(tmp_path)
    (tmp_path / "nats.conf").write_text(CONFIG.format(folder=tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))  # as an operator names the authority
    server = NatsServer(tmp_path / "nats", tmp_path / "nats.conf").start()
    connection = Connection(f"tls://127.0.0.1:{server.port}", name="tls", log=log)
    try:
        heard: list[bytes] = []
        connection.attach("ctl.a", lambda delivery: heard.append(delivery.payload))
        await within(connection.open())
        sizes = (1, 1000, 100_000)  # many TLS records for one message, many messages in one record
        for size in sizes * 10:
            connection.send("ctl.a", bytes(size))
        await within(connection.flush())
        assert [len(payload) for payload in heard] == [*sizes] * 10

        again = asyncio.Event()
        connection.on_connected.append(again.set)
        server.restart()
        await within(again.wait())
        connection.send("ctl.a", b"again")
        await within(connection.flush())
        assert heard[-1] == b"again"
    finally:
        await connection.close(timeout=0.2)
        server.kill()
