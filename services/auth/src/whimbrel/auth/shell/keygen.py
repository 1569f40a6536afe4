"""A fresh key set, as `python -m whimbrel.auth keys` prints it."""

import json
import secrets
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm


def fresh_key_set(issuer: str) -> str:
    """Return a JWK Set with one new ES256 key that signs for ``issuer``."""
    material: dict[str, Any] = ECAlgorithm.to_jwk(generate_private_key(SECP256R1()), as_dict=True)
    key = {"kid": secrets.token_urlsafe(9), "alg": "ES256", "issuer": issuer, "use": "sig", **material}
    return json.dumps({"keys": [key]}, indent=2)
