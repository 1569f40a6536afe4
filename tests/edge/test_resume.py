"""Resume grants: a reconnect that asks nobody, and cannot be talked into anything."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edge.people import NOON, alice
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.resume import seal, unseal
from whimbrel.protocol.limits import MAX_GRANT_BYTES, RESUME_GRANT_S
from whimbrel.protocol.namespaces import Grant

SECRET = b"a secret of the router"
SECRETS = {"k1": SECRET}
NOW = int(NOON)
FIELDS = ("layout", "user", "groups", "token_groups", "grants", "token_id", "token_issued", "token_expires", "made")
ALICE = alice("vip", "staff", grants=(Grant(channel="orders:eu:*", allow=("subscribe", "history")),))._replace(
    token_groups=frozenset({"staff"}),
    expires=NOW + 7200,
)


def a_grant(identity: Identity = ALICE, *, now: int = NOW) -> str:
    grant = seal(identity, kid="k1", secret=SECRET, now=now)
    assert grant is not None
    return grant


def test_a_grant_gives_back_who_it_was_made_for_and_when() -> None:
    assert unseal(a_grant(), secrets=SECRETS, now=NOW + 10) == (ALICE, NOW)


def test_a_grant_is_good_for_an_hour() -> None:
    grant = a_grant()
    assert unseal(grant, secrets=SECRETS, now=NOW + RESUME_GRANT_S - 1) is not None
    assert unseal(grant, secrets=SECRETS, now=NOW + RESUME_GRANT_S) is None


def test_a_grant_never_outlives_its_token() -> None:
    grant = a_grant(ALICE._replace(expires=NOW + 60))
    assert unseal(grant, secrets=SECRETS, now=NOW + 59) is not None
    assert unseal(grant, secrets=SECRETS, now=NOW + 60) is None


def test_a_grant_under_a_key_of_before_the_rotation_is_good_as_long_as_the_key_is_kept() -> None:
    grant = a_grant()
    assert unseal(grant, secrets={"k2": b"new", "k1": SECRET}, now=NOW) is not None
    assert unseal(grant, secrets={"k2": b"new"}, now=NOW) is None
    assert unseal(grant, secrets={"k1": b"another secret of the same name"}, now=NOW) is None
    assert unseal(grant, secrets={}, now=NOW) is None


def _with(grant: str, **changes: object) -> str:
    """Return ``grant`` with other fields, and the MAC that it had."""
    kid, payload, mac = grant.split(".")
    fields = json.loads(base64.b64decode(payload))
    for place, value in changes.items():
        fields[FIELDS.index(place)] = value
    return f"{kid}.{base64.b64encode(json.dumps(fields).encode()).decode()}.{mac}"


def _signed(payload: object) -> str:
    """Return ``payload`` with a good MAC, as a pod of another version may have signed it."""
    text = base64.b64encode(json.dumps(payload).encode()).decode()
    mac = base64.b64encode(hashlib.blake2b(f"k1.{text}".encode(), key=SECRET, digest_size=32).digest()).decode()
    return f"k1.{text}.{mac}"


@pytest.mark.parametrize(
    "change", [{"user": "bob"}, {"groups": ["admin"]}, {"token_expires": 10**12}, {"made": NOW + 1}]
)
def test_a_grant_that_was_changed_is_no_grant(change: dict[str, object]) -> None:
    assert unseal(_with(a_grant(), **change), secrets=SECRETS, now=NOW) is None


def test_a_grant_whose_last_character_was_changed_is_no_grant() -> None:
    grant = a_grant()
    forged = grant[:-2] + ("A" if grant[-2] != "A" else "B") + grant[-1]
    assert unseal(forged, secrets=SECRETS, now=NOW) is None


@pytest.mark.parametrize(
    "payload", [{"user": "alice"}, [], [2, "alice", [], [], [], None, 0, NOW + 9, NOW], "alice", 1]
)
def test_what_a_pod_of_another_version_signed_is_no_grant(payload: object) -> None:
    assert unseal(_signed([1, "alice", [], [], [], None, 0, NOW + 9, NOW]), secrets=SECRETS, now=NOW) is not None
    assert unseal(_signed(payload), secrets=SECRETS, now=NOW) is None


def test_users_with_the_same_grants_share_them() -> None:
    one, other = (unseal(a_grant(ALICE._replace(user=user)), secrets=SECRETS, now=NOW) for user in ("alice", "bob"))
    assert one is not None
    assert other is not None
    assert one[0].grants[0] is other[0].grants[0]


def test_rights_that_do_not_fit_into_4_kib_get_no_grant() -> None:
    grants = tuple(Grant(channel=f"orders:{number:060}", allow=("subscribe",)) for number in range(100))
    assert seal(ALICE._replace(grants=grants), kid="k1", secret=SECRET, now=NOW) is None
    assert len(a_grant(ALICE._replace(grants=grants[:20]))) <= MAX_GRANT_BYTES


@given(st.text(max_size=60) | st.from_regex(r"k1\.[A-Za-z0-9_=-]{0,40}\.[A-Za-z0-9_=-]{0,40}", fullmatch=True))
def test_no_text_of_a_stranger_is_a_grant(text: str) -> None:
    assert unseal(text, secrets=SECRETS, now=NOW) is None
