"""What the contract spells: frames, channels, cursors, resume grants."""

import json
from contextlib import suppress
from typing import Final

from tests.edge.people import NOON, alice, an_open_session, say
from whimbrel.edge.core import resume
from whimbrel.edge.core.effects import Close, Send
from whimbrel.protocol.channels import Channel, escape_token
from whimbrel.protocol.errors import ContractError
from whimbrel.protocol.frames import decode, decode_edge
from whimbrel.protocol.limits import MAX_CURSOR_BYTES
from whimbrel.protocol.positions import decode_cursor, encode_cursor


def client_frames(data: bytes) -> bool:
    """A message is read, or it closes with 4500 or 4504; what an open session makes of it is effects."""
    try:
        decode(data)
        taken = True
    except ContractError:
        taken = False
    session = an_open_session(subscribed=("orders:1",))
    effects = say(session, data, wall=NOON)
    for effect in effects:
        if isinstance(effect, Send):
            json.loads(effect.message)
    assert taken or any(isinstance(effect, Close) for effect in effects)
    return taken


def edge_frames(data: bytes) -> bool:
    try:
        decode_edge(data)
    except ContractError:
        return False
    return True


def channel(data: bytes) -> bool:
    """A name that is taken is one token of the bus; an escaped user is a name."""
    text = data.decode("utf-8", "replace")
    assert Channel("user", escape_token(text)).name.isascii()
    try:
        parsed = Channel.parse(text)
    except ContractError:
        return False
    assert str(parsed) == text
    assert not set(f"{parsed.namespace}{parsed.name}") & set(" .*>\r\n\t\0")
    return True


def cursor(data: bytes) -> bool:
    """A cursor that is taken says the same when written again."""
    text = data.decode("latin-1")
    try:
        _, positions = decode_cursor(text)
    except ContractError:
        return False
    assert len(text) <= MAX_CURSOR_BYTES + 10
    with suppress(ContractError):
        assert decode_cursor(encode_cursor("alice", positions)).positions == positions
    return True


SECRETS: Final = {"k1": b"s" * 32}
GRANT: Final = resume.seal(alice("vip"), kid="k1", secret=SECRETS["k1"], now=int(NOON)) or ""


def resume_grant(data: bytes) -> bool:
    """No grant but the one that was sealed is taken: base64 has one spelling here."""
    text = data.decode("latin-1")
    found = resume.unseal(text, secrets=SECRETS, now=int(NOON))
    assert (found is not None) == (text == GRANT)
    return found is not None
