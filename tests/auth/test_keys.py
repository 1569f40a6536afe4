"""Key sets: what is accepted, and what one sentence says about what is not."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.auth.forge import JWKS, KEYS, OWN, PARTNER, jwk, secret_jwk
from whimbrel.auth.core.keys import KeySet, MalformedKeySet
from whimbrel.auth.shell.keygen import fresh_key_set

SECRET = b"0123456789abcdef0123456789abcdef"


def key_set(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def test_a_fresh_key_set_signs_for_its_issuer() -> None:
    keys = KeySet.load(fresh_key_set("acme"))
    assert keys.signer("acme").algorithm == "ES256"


def test_two_fresh_key_sets_share_nothing() -> None:
    first, second = json.loads(fresh_key_set("acme"))["keys"][0], json.loads(fresh_key_set("acme"))["keys"][0]
    assert first["kid"] != second["kid"]
    assert first["d"] != second["d"]


def test_the_first_key_that_can_sign_signs() -> None:
    public, old, new = jwk("public", PARTNER.public_key(), "acme"), jwk("a", OWN, "acme"), jwk("b", PARTNER, "acme")
    assert KeySet.load(key_set(public, old, new)).signer("acme").kid == "a"
    assert KeySet.load(key_set(public, new, old)).signer("acme").kid == "b"


def test_a_set_that_cannot_sign_for_the_issuer_says_so() -> None:
    with pytest.raises(MalformedKeySet, match=r"no key of the set can sign for the issuer .https://partner\.example."):
        KEYS.signer("https://partner.example")


def test_members_that_are_not_read_are_ignored() -> None:
    keys = KeySet.load(key_set({**secret_jwk("a", SECRET, "acme"), "use": "sig", "x5c": ["…"]}))
    assert [key.kid for key in keys] == ["a"]


def test_material_is_not_in_a_repr() -> None:
    assert "verifying" not in repr(list(KEYS))
    assert "0123" not in repr(list(KeySet.load(key_set(secret_jwk("a", SECRET, "acme")))))


SECP384R1 = ec.generate_private_key(ec.SECP384R1())

REFUSED: list[tuple[str, str, str]] = [
    ("empty", "", "the key set: Invalid JSON"),
    ("not an object", "[]", "the key set: Input should be an object"),
    ("no keys", key_set(), "keys: List should have at least 1 item"),
    ("no kid", key_set({**JWKS[0], "kid": ""}), "keys.0.kid"),
    ("no issuer", key_set({name: value for name, value in JWKS[0].items() if name != "issuer"}), "keys.0.issuer"),
    ("alg none", key_set({**JWKS[0], "alg": "none"}), "keys.0.alg: Input should be 'HS256' or 'ES256'"),
    ("the same kid twice", key_set(JWKS[0], {**JWKS[1], "kid": "own"}), "two keys have the kid 'own'"),
    ("a short secret", key_set(secret_jwk("a", b"short", "acme")), "key 'a': `k` holds 5 bytes, HS256 needs 32"),
    (
        "a secret under ES256",
        key_set({**secret_jwk("a", SECRET, "acme"), "alg": "ES256"}),
        "key 'a': not a key for ES256",
    ),
    ("a curve under HS256", key_set({**JWKS[0], "alg": "HS256"}), "key 'own': not a key for HS256"),
    ("another curve", key_set(jwk("a", SECP384R1, "acme")), "keys.0.crv: Input should be 'P-256'"),
    ("no point", key_set({**JWKS[0], "y": JWKS[1]["y"], "d": None}), "key 'own': not a key for ES256"),
    ("d of another key", key_set({**JWKS[0], "d": jwk("a", PARTNER, "acme")["d"]}), "key 'own': not a key for ES256"),
    ("no coordinates", key_set({**JWKS[0], "x": None}), "key 'own': not a key for ES256"),
    ("not base64url", key_set({**JWKS[0], "d": "!"}), "key 'own': not a key for ES256"),
    (
        "a secret that is not text",
        key_set({**secret_jwk("a", SECRET, "acme"), "k": 7}),
        "keys.0.k: Input should be a valid string",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_key_set_that_cannot_be_used_is_refused_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(MalformedKeySet) as refusal:
        KeySet.load(text)
    assert sentence in str(refusal.value)
    for secret in ("d", "k"):
        assert not any(key.get(secret) and str(key[secret]) in str(refusal.value) for key in JWKS)
