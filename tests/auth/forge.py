"""Keys and tokens as an installation, another issuer, or an attacker would make them."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from whimbrel.auth.core.keys import KeySet

NOW = 1_700_000_000.0

OWN = ec.generate_private_key(ec.SECP256R1())
PARTNER = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
RSA_STRANGER = rsa.generate_private_key(65537, 2048)
SHOP_SECRET = b"a secret of the shop, 32 bytes or more"
OWN_PEM = OWN.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
OWN_DER = OWN.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def jwk(kid: str, key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey, issuer: str) -> dict[str, Any]:
    members: dict[str, Any] = ECAlgorithm.to_jwk(key, as_dict=True)
    return {"kid": kid, "alg": "ES256", "issuer": issuer, **members}


def secret_jwk(kid: str, secret: bytes, issuer: str) -> dict[str, Any]:
    return {"kid": kid, "alg": "HS256", "kty": "oct", "issuer": issuer, "k": b64(secret)}


JWKS: list[dict[str, Any]] = [
    jwk("own", OWN, "whimbrel"),
    jwk("partner", PARTNER.public_key(), "https://partner.example"),
    secret_jwk("shop", SHOP_SECRET, "shop"),
]
KEYS = KeySet.load(json.dumps({"keys": JWKS}))

SIGNERS: dict[str, tuple[str, Any, str]] = {  # kid → algorithm, key, issuer
    "own": ("ES256", OWN, "whimbrel"),
    "partner": ("ES256", PARTNER, "https://partner.example"),
    "shop": ("HS256", SHOP_SECRET, "shop"),
}


def claims(kid: str = "own", **changes: Any) -> dict[str, Any]:
    """Return good claims of ``kid``'s issuer with ``changes``; None leaves a claim out."""
    good = {"sub": "alice", "iss": SIGNERS[kid][2], "aud": "whimbrel", "iat": int(NOW), "exp": int(NOW) + 3600}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(kid: str = "own", *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a token that ``kid`` signed properly, whatever it says."""
    algorithm, key, _ = SIGNERS[kid]
    return signed(claims(kid, **changes), key, algorithm, {"kid": kid, **(header or {})})


def signed(payload: dict[str, Any], key: Any, algorithm: str, header: dict[str, Any]) -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers=header)


def hs256(header: str, payload: str, secret: bytes) -> str:
    """Return a token over texts that need not be well-formed JSON, with a right HS256 signature."""
    signing_input = f"{b64(header.encode())}.{b64(payload.encode())}"
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), hashlib.sha256))}"
