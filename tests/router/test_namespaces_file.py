"""The namespaces file: what it means, and what is said about a wrong one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.protocol.namespaces import ROUTER_OWNED, Groups, Namespace
from whimbrel.router.core.namespaces import MAX_FILE_BYTES, MalformedNamespaces, diff, parse

FILE = """\
orders:
  durable: true
  subscribe: authenticated
  history: {groups: [staff]}
typing:
  durable: false
  subscribe: {groups: [staff, vip]}
  publish: subscribers
"""
ORDERS = Namespace(durable=True, subscribe="authenticated", history=Groups(groups=("staff",)))
TYPING = Namespace(durable=False, subscribe=Groups(groups=("staff", "vip")), publish="subscribers")


def test_a_file_becomes_a_table_with_the_routers_own_namespaces() -> None:
    assert parse(FILE) == {"orders": ORDERS, "typing": TYPING, **ROUTER_OWNED}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "{}"])
def test_an_empty_file_leaves_the_routers_own_namespaces(text: str) -> None:
    assert parse(text) == ROUTER_OWNED


def test_rules_can_be_shared_by_an_anchor() -> None:
    table = parse(
        "orders: &rules {durable: true, subscribe: authenticated}\n"
        "baskets: *rules\n"
        "prices: {<<: *rules, durable: false}\n"
    )
    assert table["baskets"] == table["orders"]
    assert table["prices"] == Namespace(durable=False, subscribe="authenticated")


FAULTS = {
    "not YAML": ("orders: [", "line 1: expected the node content"),
    "a tab": ("orders:\n\tdurable: true", "line 2: "),
    "a control character": ("orders: \x00", "character 8: "),
    "not UTF-8": (b"orders: \xff", "character 8: "),
    "two documents": ("a: {durable: true}\n---\nb: {durable: true}\n", "line 2: but found another document"),
    "a tag that makes objects": (
        "a: !!python/object/apply:os.system [id]",
        "line 1: could not determine a constructor",
    ),
    "a list": ("- orders\n", "line 1: write a mapping of namespace names to their rules"),
    "a text": ("orders", "line 1: write a mapping of namespace names to their rules"),
    "rules that are no mapping": ("orders: durable", "line 1: orders: input should be a valid dictionary"),
    "no rules": ("orders:\n", "line 1: orders: input should be a valid dictionary"),
    "durable missing": ("a: {durable: true}\norders:\n  subscribe: nobody\n", "line 2: orders.durable: field required"),
    "durable not a truth": ("orders:\n  durable: perhaps\n", "line 2: orders.durable: input should be a valid boolean"),
    "an unknown rule": (
        "orders:\n  durable: true\n  subscirbe: nobody\n",
        "line 3: orders.subscirbe: extra inputs are not permitted",
    ),
    "an unknown audience": (
        "orders:\n  durable: true\n  subscribe: everybody\n",
        "line 3: orders.subscribe: write nobody, authenticated or a mapping such as {groups: [staff]}",
    ),
    "subscribers may not subscribe": (
        "orders:\n  durable: true\n  subscribe: subscribers\n",
        "line 3: orders.subscribe: write nobody, authenticated or",
    ),
    "publish": (
        "orders:\n  durable: true\n  publish: anyone\n",
        "line 3: orders.publish: write nobody, authenticated, subscribers or",
    ),
    "no group": ("orders:\n  durable: true\n  subscribe: {groups: []}\n", "line 3: orders.subscribe: write nobody"),
    "history without a stream": (
        "typing:\n  durable: false\n  history: authenticated\n",
        "line 1: typing: an ephemeral namespace keeps no history",
    ),
    "a name in capitals": ("Orders: {durable: true}", "line 1: 'Orders' is not a namespace"),
    "a name with a dot": ("orders.eu: {durable: true}", "line 1: 'orders.eu' is not a namespace"),
    "a name that is a wildcard": ("'>': {durable: true}", "line 1: '>' is not a namespace"),
    "a name of 33 characters": (f"{'a' * 33}: {{durable: true}}", "is not a namespace"),
    "a name that is a number": ("7: {durable: true}", "line 1: '7' is not a namespace"),
    "a name that YAML takes for a truth": ("on: {durable: true}", "line 1: 'on' is not a namespace"),
    "the router's own": (
        "a: {durable: true}\nuser: {durable: true}\n",
        "line 2: the namespace user is the router's own",
    ),
    "the same namespace twice": (
        "orders: {durable: true}\norders: {durable: false}\n",
        "line 2: orders stands here a second time",
    ),
    "the same rule twice": (
        "orders:\n  durable: true\n  durable: false\n",
        "line 3: durable stands here a second time",
    ),
    "too long": ("#" * (MAX_FILE_BYTES + 1), "it has more than 1024 KiB"),
    "too many": ("\n".join(f"n{i}: {{durable: true}}" for i in range(1001)), "1001 namespaces, at most 1000"),
    "nested without end": ("[" * 10_000, "it cannot be read as YAML"),
    "an anchor in itself": ("&a [*a]", "line 1: write a mapping"),
}


@pytest.mark.parametrize(("text", "sentence"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_with_its_line_and_field(text: str | bytes, sentence: str) -> None:
    with pytest.raises(MalformedNamespaces) as refusal:
        parse(text)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_all_faults_are_told_at_once_in_the_order_of_their_lines() -> None:
    with pytest.raises(MalformedNamespaces) as refusal:
        parse("Bad: {durable: true}\norders:\n  publish: x\n  subscribe: y\n")
    told = str(refusal.value)
    assert [fault.split(":")[0] for fault in told.split("; ")] == ["line 1", "line 2", "line 3", "line 4"]


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        table = parse(text)
    except MalformedNamespaces:
        return
    assert table.keys() >= ROUTER_OWNED.keys()


def test_the_difference_is_what_was_added_changed_and_removed() -> None:
    wanted = parse(FILE)
    stored = {**ROUTER_OWNED, "orders": ORDERS, "typing": ORDERS, "prices": TYPING, "alerts": TYPING}
    changes = diff(stored, wanted)
    assert changes.put == {"typing": TYPING}
    assert changes.removed == ("alerts", "prices")
    assert diff({}, wanted).put == wanted
    assert diff(wanted, wanted) == diff({}, {})


def test_rules_that_this_version_cannot_read_are_written_anew_or_removed() -> None:
    changes = diff({"orders": None, "old": None}, parse(FILE))
    assert changes.put["orders"] == ORDERS
    assert changes.removed == ("old",)
