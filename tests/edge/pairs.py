"""Certificates with their keys, in files."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True)
class Pair:
    chain: Path
    key: Path

    def issue(self, *, days: int = 90, password: bytes | None = None) -> int:
        """Write a new key and a certificate of its own for localhost; return the serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        serial = x509.random_serial_number()
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), serial)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
        )
        secret = NoEncryption() if password is None else BestAvailableEncryption(password)
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
        self.chain.write_bytes(certificate.public_bytes(Encoding.PEM))
        return serial

    def trusted(self) -> ssl.SSLContext:
        """Return a client's context that trusts what the files hold now."""
        return ssl.create_default_context(cafile=self.chain)
