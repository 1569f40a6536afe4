"""The key set: whose signatures count, and with which key this installation signs.

A JWK Set (RFC 7517 §5) in which every key also names its ``issuer``. A key is good for one algorithm and one issuer,
whatever a token's header says (RFC 8725 §3.1): a public key can never be taken for an HMAC secret.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, HMACAlgorithm
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Algorithm = Literal["HS256", "ES256"]

MIN_HS256_BYTES: Final = 32  # RFC 7518 §3.2: as long as the hash
MAX_KEYS: Final = 256  # a few issuers, each with an old, a current and a next key; a list beyond that is a mistake


class MalformedKeySet(ValueError):
    """A key set that cannot be used; the message names the key and the member, never the material."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. ``signing`` is None where only signatures of others are checked with it."""

    kid: str
    algorithm: Algorithm
    issuer: str
    verifying: bytes | EllipticCurvePublicKey = field(repr=False)
    signing: bytes | EllipticCurvePrivateKey | None = field(repr=False)


class _Jwk(BaseModel):
    """The members that are read; others are ignored, as RFC 7517 §4 asks."""

    model_config = ConfigDict(strict=True)

    kid: Annotated[str, Field(min_length=1, max_length=64)]
    alg: Algorithm
    kty: Literal["oct", "EC"]
    issuer: Annotated[str, Field(min_length=1, max_length=512)]
    k: str | None = None
    crv: Literal["P-256"] | None = None
    x: str | None = None
    y: str | None = None
    d: str | None = None


class _JwkSet(BaseModel):
    keys: Annotated[list[_Jwk], Field(min_length=1, max_length=MAX_KEYS)]


class KeySet:
    """Keys by ``kid``."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._keys = keys

    @classmethod
    def load(cls, text: str | bytes) -> Self:
        """Read a JWK Set.

        Raises MalformedKeySet.
        """
        try:
            jwks = _JwkSet.model_validate_json(text).keys
        except ValidationError as error:
            fault = error.errors(include_input=False, include_context=False)[0]
            raise MalformedKeySet(f"{_place(fault['loc'])}: {fault['msg']}") from None
        keys: dict[str, Key] = {}
        for jwk in jwks:
            if jwk.kid in keys:
                raise MalformedKeySet(f"two keys have the kid {jwk.kid!r}: a token could not say which one it means")
            keys[jwk.kid] = _key(jwk)
        return cls(keys)

    def find(self, kid: object) -> Key | None:
        """Return the key that a token names, None where it names none of ours."""
        return self._keys.get(kid) if isinstance(kid, str) else None

    def signer(self, issuer: str) -> Key:
        """Return the key that signs for ``issuer``: the first of the set that can.

        Raises MalformedKeySet.
        """
        for key in self:
            if key.issuer == issuer and key.signing is not None:
                return key
        raise MalformedKeySet(
            f"no key of the set can sign for the issuer {issuer!r}: it needs one with `d` (ES256) or `k` (HS256)"
        )

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())


def _key(jwk: _Jwk) -> Key:
    members: dict[str, Any] = jwk.model_dump(exclude_none=True)
    try:
        match jwk.alg:
            case "HS256":
                secret = HMACAlgorithm.from_jwk(members)
                if len(secret) < MIN_HS256_BYTES:
                    raise MalformedKeySet(
                        f"key {jwk.kid!r}: `k` holds {len(secret)} bytes, HS256 needs {MIN_HS256_BYTES} (RFC 7518 §3.2)"
                    )
                return Key(jwk.kid, jwk.alg, jwk.issuer, secret, secret)
            case "ES256":
                key = ECAlgorithm.from_jwk(members)
                if not isinstance(key, EllipticCurvePrivateKey):
                    return Key(jwk.kid, jwk.alg, jwk.issuer, key, None)
                return Key(jwk.kid, jwk.alg, jwk.issuer, key.public_key(), key)
    except (PyJWTError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, MalformedKeySet):
            raise
        # What the libraries say may quote the material.
        needs = "`kty` oct and `k`" if jwk.alg == "HS256" else "`kty` EC, `crv` P-256, `x`, `y` and, to sign, `d`"
        raise MalformedKeySet(f"key {jwk.kid!r}: not a key for {jwk.alg}, which needs {needs}, in base64url") from None


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc)) or "the key set"
