"""Which tokens count: the matrix of what an attacker, a misconfigured issuer or a wrong clock can send."""

import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.auth import forge
from tests.auth.forge import KEYS, NOW, b64, claims, hs256, signed, token
from whimbrel.auth.core.tokens import LEEWAY_S, NotMinted, TooLarge, mint, verify
from whimbrel.protocol.bodies import TokenRequest
from whimbrel.protocol.limits import MAX_TOKEN_BYTES
from whimbrel.protocol.namespaces import Grant

GRANT = {"channel": "orders:eu:*", "allow": ["subscribe", "history"]}
ALL_SIGNERS = pytest.mark.parametrize("kid", sorted(forge.SIGNERS))


def code(text: str, now: float = NOW) -> str:
    return verify(text, KEYS, now=now).code


@ALL_SIGNERS
def test_a_good_token_yields_its_claims(kid: str) -> None:
    verdict = verify(token(kid, groups=["vip"], channels=[GRANT], jti="t1"), KEYS, now=NOW)
    assert verdict.code == "ok"
    assert verdict.claims is not None
    assert verdict.claims.model_dump() == {
        "sub": "alice",
        "exp": int(NOW) + 3600,
        "iat": int(NOW),
        "iss": forge.SIGNERS[kid][2],
        "jti": "t1",
        "groups": ("vip",),
        "channels": ({"channel": "orders:eu:*", "allow": ("subscribe", "history")},),
    }


ACCEPTED: dict[str, dict[str, Any]] = {
    "no optional claim": {},
    "aud is a list that holds us": {"aud": ["shop", "whimbrel"]},
    "exp with a fraction": {"exp": NOW + 1.5},
    "a user outside the channel grammar": {"sub": "alice@example.com / ü *.>"},
    "claims of other parties": {"scope": "openid", "nested": {"a": [1]}},
    "nbf now": {"nbf": int(NOW)},
    "nbf and iat within the leeway": {"nbf": int(NOW) + LEEWAY_S, "iat": int(NOW) + LEEWAY_S},
}


@ALL_SIGNERS
@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(kid: str, changes: dict[str, Any]) -> None:
    assert code(token(kid, **changes)) == "ok"


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "no exp": {"exp": None},
    "no iat": {"iat": None},
    "no iss": {"iss": None},
    "no aud": {"aud": None},
    "no sub": {"sub": None},
    "aud of another": {"aud": "shop"},
    "aud a list without us": {"aud": ["shop", "whimbrel2"]},
    "aud in other case": {"aud": "Whimbrel"},
    "aud an object": {"aud": {"whimbrel": True}},
    "aud a list of lists": {"aud": [["whimbrel"]]},
    "aud empty": {"aud": []},
    "iss of another key": {"iss": "https://evil.example"},
    "iss with a trailing slash": {"iss": "whimbrel/"},
    "iss empty": {"iss": ""},
    "sub empty": {"sub": ""},
    "sub a number": {"sub": 7},
    "sub too long": {"sub": "a" * 513},
    "exp a text": {"exp": str(int(NOW) + 3600)},
    "exp true": {"exp": True},
    "exp negative": {"exp": -1},
    "exp beyond any clock": {"exp": 10**300},
    "exp an object": {"exp": {}},
    "iat a text": {"iat": "now"},
    "iat in the future": {"iat": int(NOW) + LEEWAY_S + 1},
    "nbf in the future": {"nbf": int(NOW) + LEEWAY_S + 1},
    "nbf a text": {"nbf": "0"},
    "jti a number": {"jti": 1},
    "groups a text": {"groups": "vip"},
    "groups of numbers": {"groups": [1]},
    "an empty group": {"groups": [""]},
    "channels a text": {"channels": "orders:*"},
    "a grant without channel": {"channels": [{"allow": ["subscribe"]}]},
    "a grant with an unknown action": {"channels": [{"channel": "orders:*", "allow": ["subscribe", "admin"]}]},
    "a grant with a NATS wildcard": {"channels": [{"channel": "orders:>", "allow": ["subscribe"]}]},
    "a grant with a star in the middle": {"channels": [{"channel": "orders:*:x", "allow": ["subscribe"]}]},
    "a grant with a dot": {"channels": [{"channel": "orders.eu", "allow": ["subscribe"]}]},
}


@ALL_SIGNERS
@pytest.mark.parametrize("changes", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS.keys())
def test_claims_that_are_missing_or_wrong_are_unauthorized(kid: str, changes: dict[str, Any]) -> None:
    verdict = verify(token(kid, **changes), KEYS, now=NOW)
    assert verdict.code == "unauthorized"
    assert verdict.claims is None
    assert verdict.reason.startswith("the token is not accepted: ")


def unsigned(header: dict[str, Any], payload: dict[str, Any] | None = None) -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload or claims()).encode())}."


GOOD = token()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")
EVIL_PAYLOAD = b64(json.dumps(claims(sub="bob")).encode())
SHOP_HEADER = '{"alg":"HS256","kid":"shop"}'
SHOP_CLAIMS = json.dumps(claims("shop"))

FORGED: dict[str, str] = {
    "alg none": unsigned({"alg": "none", "kid": "own"}),
    "alg None": unsigned({"alg": "None", "kid": "own"}),
    "alg none with a signature": unsigned({"alg": "none", "kid": "own"}) + SIGNATURE,
    "no alg": unsigned({"kid": "own"}),
    "alg null": unsigned({"alg": None, "kid": "own"}),
    "alg a list": unsigned({"alg": ["ES256"], "kid": "own"}) + SIGNATURE,
    "confusion: our public key in PEM as an HMAC secret": hs256(
        '{"alg":"HS256","kid":"own"}', json.dumps(claims()), forge.OWN_PEM
    ),
    "confusion: our public key in DER as an HMAC secret": hs256(
        '{"alg":"HS256","kid":"own"}', json.dumps(claims()), forge.OWN_DER
    ),
    "confusion: our x as an HMAC secret": hs256(
        '{"alg":"HS256","kid":"own"}', json.dumps(claims()), forge.JWKS[0]["x"].encode()
    ),
    "confusion: the shop's kid with ES256": signed(claims("shop"), forge.STRANGER, "ES256", {"kid": "shop"}),
    "confusion: our kid with the shop's secret": signed(claims(), forge.SHOP_SECRET, "HS256", {"kid": "own"}),
    "HS512 with the right secret": signed(claims("shop"), forge.SHOP_SECRET * 2, "HS512", {"kid": "shop"}),
    "RS256": signed(claims(), forge.RSA_STRANGER, "RS256", {"kid": "own"}),
    "signed by a stranger": signed(claims(), forge.STRANGER, "ES256", {"kid": "own"}),
    "the shop signs for our issuer": token("shop", iss="whimbrel"),
    "the partner signs for our issuer": token("partner", iss="whimbrel"),
    "no kid": signed(claims(), forge.OWN, "ES256", {}),
    "unknown kid": signed(claims(), forge.OWN, "ES256", {"kid": "other"}),
    "kid a number": unsigned({"alg": "ES256", "kid": 1}) + SIGNATURE,
    "kid a list": unsigned({"alg": "ES256", "kid": ["own"]}) + SIGNATURE,
    "kid a path": signed(claims(), b"\0" * 32, "HS256", {"kid": "../../../dev/null"}),
    "kid an SQL injection": signed(claims(), forge.SHOP_SECRET, "HS256", {"kid": "x' UNION SELECT 'key"}),
    "jku to a stranger": signed(claims(), forge.STRANGER, "ES256", {"kid": "own", "jku": "https://evil.example/jwks"}),
    "x5u to a stranger": signed(claims(), forge.STRANGER, "ES256", {"kid": "own", "x5u": "https://evil.example/x5"}),
    "jwk of a stranger": signed(
        claims(),
        forge.STRANGER,
        "ES256",
        {"kid": "own", "jwk": forge.jwk("own", forge.STRANGER.public_key(), "whimbrel")},
    ),
    "unknown crit": token(header={"crit": ["urn:example:exp"], "urn:example:exp": 1}),
    "empty crit": token(header={"crit": []}),
    "unencoded payload (b64)": token(header={"crit": ["b64"], "b64": False}),
    "another payload under the signature": f"{HEADER}.{EVIL_PAYLOAD}.{SIGNATURE}",
    "a signature with one bit changed": f"{HEADER}.{PAYLOAD}.{'A' if SIGNATURE[0] != 'A' else 'B'}{SIGNATURE[1:]}",
    "a cut signature": GOOD[:-4],
    "no signature": f"{HEADER}.{PAYLOAD}.",
    "the signature all zero (CVE-2022-21449)": f"{HEADER}.{PAYLOAD}.{b64(bytes(64))}",
    "two parts": f"{HEADER}.{PAYLOAD}",
    "five parts, as an encrypted token": f"{GOOD}.{SIGNATURE}.{SIGNATURE}",
    "a name twice in the claims": hs256(SHOP_HEADER, SHOP_CLAIMS[:-1] + ',"sub":"bob"}', forge.SHOP_SECRET),
    "a name twice in a grant": hs256(
        SHOP_HEADER,
        SHOP_CLAIMS[:-1] + ',"channels":[{"channel":"a:b","channel":"a:*","allow":["subscribe"]}]}',
        forge.SHOP_SECRET,
    ),
    "a name twice in the header": hs256('{"alg":"HS256","kid":"own","kid":"shop"}', SHOP_CLAIMS, forge.SHOP_SECRET),
    "claims that are a list": hs256(SHOP_HEADER, "[]", forge.SHOP_SECRET),
    "claims that are not JSON": hs256(SHOP_HEADER, "{", forge.SHOP_SECRET),
    "exp NaN": hs256(SHOP_HEADER, SHOP_CLAIMS.replace(str(int(NOW) + 3600), "NaN"), forge.SHOP_SECRET),
    "exp Infinity": hs256(SHOP_HEADER, SHOP_CLAIMS.replace(str(int(NOW) + 3600), "Infinity"), forge.SHOP_SECRET),
    "claims nested without end": hs256(SHOP_HEADER, "[" * 4000, forge.SHOP_SECRET),
    "a header that is a list": hs256("[]", SHOP_CLAIMS, forge.SHOP_SECRET),
    "a header that is not JSON": hs256("{", SHOP_CLAIMS, forge.SHOP_SECRET),
    "a header that is not base64": f"!!.{PAYLOAD}.{SIGNATURE}",
    "a header that is not UTF-8": f"{b64(bytes([255, 254]))}.{PAYLOAD}.{SIGNATURE}",
    "empty": "",
    "dots": "..",
    "not ASCII": GOOD + "é",
    "a lone surrogate": GOOD + "\ud800",
    "a blank before it": f" {GOOD}",
    "Bearer before it": f"Bearer {GOOD}",
    "64 KB": token(padding="x" * 64_000),
    "one byte over the limit": "a" * (MAX_TOKEN_BYTES + 1),
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED.keys())
def test_forged_and_malformed_tokens_are_unauthorized(text: str) -> None:
    verdict = verify(text, KEYS, now=NOW)
    assert verdict.code == "unauthorized"
    assert verdict.claims is None


def test_a_token_of_the_greatest_length_counts() -> None:
    room = MAX_TOKEN_BYTES - len(token(padding=""))
    longest = token(padding="x" * (room * 3 // 4 - 2))
    assert MAX_TOKEN_BYTES - 8 <= len(longest) <= MAX_TOKEN_BYTES
    assert code(longest) == "ok"


@ALL_SIGNERS
def test_a_token_expires_when_it_says(kid: str) -> None:
    text = token(kid, exp=int(NOW) + 60)
    assert code(text, int(NOW) + 59.9) == "ok"
    assert code(text, int(NOW) + 60) == "token_expired"


def test_an_expired_token_that_is_forged_is_not_called_expired() -> None:
    forged = signed(claims(exp=int(NOW) - 60), forge.STRANGER, "ES256", {"kid": "own"})
    assert code(forged) == "unauthorized"


def test_a_reason_never_quotes_the_token() -> None:
    canary = "canary-7f3a"
    for text in (
        token(header={"kid": canary}),
        token(iss=canary),
        token(aud=canary),
        token(groups=[{"name": canary}]),
        token(header={"crit": [canary], canary: 1}),
        signed(claims(), forge.STRANGER, "ES256", {"kid": "own", "typ": canary}),
    ):
        assert canary not in verify(text, KEYS, now=NOW).reason


@given(st.text(max_size=300))
def test_no_text_breaks_the_verifier(text: str) -> None:
    assert code(text) == "unauthorized"


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_signed_bytes_break_the_verifier(header: bytes, payload: bytes) -> None:
    shop = hs256(SHOP_HEADER, payload.decode("latin-1"), forge.SHOP_SECRET)
    assert code(shop) == "unauthorized"
    assert code(f"{b64(header)}.{b64(payload)}.{SIGNATURE}") == "unauthorized"


# Minting


def test_a_minted_token_counts_and_says_what_was_asked() -> None:
    grant = Grant(channel="orders:*", allow=("subscribe",))
    request = TokenRequest(user="alice", groups=("vip",), channels=(grant,), claims={"name": "Alice"}, ttl=60)
    text = mint(request, KEYS.signer("whimbrel"), jti="t1", now=NOW)
    verdict = verify(text, KEYS, now=NOW)
    assert verdict.claims is not None
    assert (verdict.claims.sub, verdict.claims.groups, verdict.claims.channels) == ("alice", ("vip",), (grant,))
    assert (verdict.claims.iat, verdict.claims.exp, verdict.claims.jti) == (int(NOW), int(NOW) + 60, "t1")
    assert jwt.decode(text, options={"verify_signature": False})["name"] == "Alice"
    assert jwt.get_unverified_header(text) == {"alg": "ES256", "kid": "own", "typ": "JWT"}


def test_an_installation_with_an_hs256_key_alone_mints_with_it() -> None:
    text = mint(TokenRequest(user="alice", claims={}), KEYS.signer("shop"), jti="t1", now=NOW)
    assert jwt.get_unverified_header(text)["alg"] == "HS256"
    assert code(text) == "ok"


@pytest.mark.parametrize("claim", ["sub", "iss", "aud", "exp", "iat", "nbf", "jti", "groups", "channels"])
def test_claims_of_the_contract_cannot_be_overridden(claim: str) -> None:
    with pytest.raises(NotMinted, match=f"claims: {claim} cannot be set here"):
        mint(TokenRequest(user="alice", claims={claim: 1}), KEYS.signer("whimbrel"), jti="t1", now=NOW)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"], ids=["NaN", "Infinity", "a lone surrogate"])
def test_claims_that_others_could_not_read_are_refused(value: object) -> None:
    with pytest.raises(NotMinted, match="not a JSON object that every party can read"):
        mint(TokenRequest(user="alice", claims={"x": value}), KEYS.signer("whimbrel"), jti="t1", now=NOW)


def test_a_token_that_no_edge_would_take_is_not_minted() -> None:
    request = TokenRequest(user="alice", claims={"x": "y" * MAX_TOKEN_BYTES})
    with pytest.raises(TooLarge, match="use fewer grants or claims"):
        mint(request, KEYS.signer("whimbrel"), jti="t1", now=NOW)
