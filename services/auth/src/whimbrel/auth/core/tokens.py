"""Access tokens: JWTs (RFC 7519) verified against the key set, and minted with it.

PyJWT checks structure, signature, audience and issuer; algorithm and issuer are pinned by the key that `kid` names, and
whatever the header offers beside it (`jku`, `jwk`, `x5u`) is not looked at. Times are checked here, because time is a
parameter.
"""

import base64
import json
from typing import Annotated, Any, Final

import jwt
from pydantic import BaseModel, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from whimbrel.auth.core.keys import Key, KeySet
from whimbrel.protocol.bodies import TokenRequest
from whimbrel.protocol.limits import MAX_TOKEN_BYTES
from whimbrel.protocol.namespaces import Grant
from whimbrel.protocol.rpc import Claims, TokenVerdict

AUDIENCE: Final = "whimbrel"
# How far ahead the issuer's clock may be: a token is not refused in the second in which it was made. None is given to
# `exp`: every part of Whimbrel ends a token at the same moment.
LEEWAY_S: Final = 5
REQUIRED: Final = ("exp", "iat", "iss", "aud", "sub")
RESERVED_CLAIMS: Final = frozenset({*REQUIRED, "nbf", "jti", "channels", "groups"})


class NotMinted(ValueError):
    """A token that was asked for and cannot be made; the message says why."""


class TooLarge(NotMinted):
    """The token would be longer than any endpoint of Whimbrel takes."""


class _Malformed(ValueError):
    """Bytes that are no token of ours."""


NumericDate = Annotated[StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)], Field(ge=0, le=2**53)]


class _Payload(BaseModel):
    """The claims of the contract (protocol, "Authentication"); `iss` and `aud` were checked before."""

    sub: Annotated[StrictStr, Field(min_length=1, max_length=512)]
    iss: StrictStr
    exp: NumericDate
    iat: NumericDate
    nbf: NumericDate = 0
    jti: Annotated[StrictStr, Field(min_length=1, max_length=256)] | None = None
    groups: tuple[Annotated[StrictStr, Field(min_length=1, max_length=128)], ...] = ()
    channels: tuple[Grant, ...] = ()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 7515 §4, RFC 7519 §4: two parsers that pick different ones of two equal names would see different tokens.
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _Malformed("a name appears twice in one of its objects")
    return fields


class _StrictJwt(jwt.PyJWT):
    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        payload = json.loads(decoded["payload"], object_pairs_hook=_unique)
        if not isinstance(payload, dict):
            raise _Malformed("its payload is not an object")
        return payload


_JWT: Final = _StrictJwt({"require": list(REQUIRED), "verify_exp": False, "verify_iat": False, "verify_nbf": False})


def verify(token: str, keys: KeySet, *, now: float) -> TokenVerdict:
    """Judge ``token`` at ``now`` (Unix seconds); the reason never quotes the token."""
    try:
        payload = _authentic(token, keys)
    except _Malformed as fault:
        return _refused(str(fault))
    except jwt.PyJWTError as error:
        return _refused(_why(error))
    except (ValueError, RecursionError):
        return _refused("it is not a JWT")
    expires = int(payload.exp)  # in whole seconds everywhere
    if expires <= now:
        return TokenVerdict(code="token_expired", reason=f"the token expired {now - expires:.0f} s ago")
    if max(payload.nbf, payload.iat) - LEEWAY_S > now:
        return _refused("it is not valid yet: nbf or iat is in the future")
    claims = Claims(
        sub=payload.sub,
        exp=expires,
        iat=int(payload.iat),
        iss=payload.iss,
        jti=payload.jti,
        groups=payload.groups,
        channels=payload.channels,
    )
    return TokenVerdict(code="ok", claims=claims)


def _authentic(token: str, keys: KeySet) -> _Payload:
    if len(token) > MAX_TOKEN_BYTES:
        raise _Malformed(f"it is longer than {MAX_TOKEN_BYTES} bytes")
    if not token.isascii() or token.count(".") != 2:
        raise _Malformed("it is not a JWT: three parts in base64url, joined by dots")
    header = json.loads(_base64url(token.partition(".")[0]), object_pairs_hook=_unique)
    key = keys.find(header.get("kid")) if isinstance(header, dict) else None
    if key is None:
        raise _Malformed("its header names no key of the key set (kid)")
    claims = _JWT.decode(token, key.verifying, [key.algorithm], audience=AUDIENCE, issuer=key.issuer)
    try:
        return _Payload.model_validate(claims)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_context=False, include_url=False)[0]
        raise _Malformed(f"claim {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _refused(reason: str) -> TokenVerdict:
    return TokenVerdict(code="unauthorized", reason=f"the token is not accepted: {reason}")


def _why(error: jwt.PyJWTError) -> str:
    # PyJWT's own messages may quote header values, which are the sender's text.
    match error:
        case jwt.MissingRequiredClaimError():
            return f"the claim {error.claim} is missing"
        case jwt.InvalidAudienceError():
            return f'aud is not "{AUDIENCE}"'
        case jwt.InvalidIssuerError():
            return "iss is not the issuer of the key that kid names"
        case jwt.InvalidAlgorithmError():
            return "alg is not the algorithm of the key that kid names"
        case jwt.InvalidSignatureError():
            return "the signature does not match"
        case _:
            return "it is malformed"


def mint(request: TokenRequest, key: Key, *, jti: str, now: float) -> str:
    """Return a token for ``request`` signed by ``key``, issued at ``now`` (Unix seconds).

    Raises NotMinted for claims that Whimbrel sets itself or that are not JSON, TooLarge.
    """
    reserved = sorted(RESERVED_CLAIMS & request.claims.keys())
    if reserved:
        raise NotMinted(f"claims: {', '.join(reserved)} cannot be set here; user, groups, channels and ttl say them")
    issued = int(now)
    payload = {
        **request.claims,
        "sub": request.user,
        "iss": key.issuer,
        "aud": AUDIENCE,
        "iat": issued,
        "exp": issued + request.ttl,
        "jti": jti,
    }
    if request.groups:
        payload["groups"] = request.groups
    if request.channels:
        payload["channels"] = [grant.model_dump() for grant in request.channels]
    try:
        # NaN and lone surrogates pass Python's parser, but no other party could read the token.
        json.dumps(payload, allow_nan=False, ensure_ascii=False).encode()
        token = jwt.encode(payload, key.signing or b"", algorithm=key.algorithm, headers={"kid": key.kid})
    except (ValueError, RecursionError) as error:
        raise NotMinted("claims: not a JSON object that every party can read") from error
    if len(token) > MAX_TOKEN_BYTES:
        raise TooLarge(
            f"the token would have {len(token)} bytes, {MAX_TOKEN_BYTES} are accepted: use fewer grants or claims"
        )
    return token
