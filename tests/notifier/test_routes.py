"""The routes file: what it says, what it may not say, and what comes out of its templates."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notifier.events import an_event
from whimbrel.notifier.core import routes
from whimbrel.notifier.core.audience import MAX_TARGETS, Target, targets
from whimbrel.notifier.core.errors import MalformedRoutes, Reason, Undeliverable, UnknownNamespace
from whimbrel.notifier.core.templates import ChannelTemplate, Template
from whimbrel.protocol.channels import CHANNEL_PATTERN, Channel
from whimbrel.protocol.namespaces import ROUTER_OWNED, Namespace
from whimbrel.protocol.subjects import live_subject, publish_subject

NAMESPACES = {**ROUTER_OWNED, "orders": Namespace(durable=True), "typing": Namespace(durable=False)}


def channels_of(file: str, data: Any = None, headers: dict[str, str] | None = None, **where: str) -> list[str]:
    event = an_event(data, headers, **where)
    return [str(target.channel) for target in targets(event, routes.load(file), NAMESPACES)]


def reason_of(file: str, data: Any = None, headers: dict[str, str] | None = None) -> Undeliverable:
    with pytest.raises(Undeliverable) as caught:
        channels_of(file, data, headers)
    return caught.value


def test_a_route_leads_to_channels_users_and_groups_in_the_order_of_the_file() -> None:
    file = """
    routes:
      - subject: events.shop.order.*
        channels: ["orders:{id}", "orders:{data.region}:{id}"]
        users: "{data.customer.id}"
        groups: ["{domain}-{entity}", "{data.teams}"]
    """
    data = {"region": "eu", "customer": {"id": "al.ice"}, "teams": ["red", "blue"]}
    assert channels_of(file, data) == [
        "orders:42",
        "orders:eu:42",
        "user:al=2Eice",
        "group:shop-order",
        "group:red",
        "group:blue",
    ]


def test_audience_headers_are_added_to_the_routes_and_nobody_hears_twice() -> None:
    file = "routes: [{subject: events.shop.>, channels: 'orders:{id}', users: ['{data.customer}']}]"
    headers = {"whimbrel-users": "bob,alice", "whimbrel-groups": "vip", "whimbrel-channels": "orders:42,orders:all"}
    assert channels_of(file, {"customer": "alice"}, headers) == [
        "orders:42",
        "user:alice",
        "orders:all",
        "user:bob",
        "group:vip",
    ]


def test_the_audience_alone_is_enough() -> None:
    assert channels_of("routes: []", headers={"whimbrel-users": "alice"}) == ["user:alice"]


def test_a_namespace_says_whether_a_target_is_durable() -> None:
    file = "routes: [{subject: events.shop.order.*, channels: ['typing:{id}', 'orders:{id}']}]"
    assert targets(an_event(), routes.load(file), NAMESPACES) == [
        Target(Channel("typing", "42"), False),
        Target(Channel("orders", "42"), True),
    ]


@pytest.mark.parametrize(
    ("pattern", "subject", "matches"),
    [
        ("events.shop.order.*", "events.shop.order.42", True),
        ("events.shop.order.42", "events.shop.order.42", True),
        ("events.shop.order.43", "events.shop.order.42", False),
        ("events.shop.*.42", "events.shop.order.42", True),
        ("events.*.order.*", "events.shop.order.42", True),
        ("events.bank.order.*", "events.shop.order.42", False),
        ("events.shop.>", "events.shop.order.42", True),
        ("events.>", "events.shop.order.42", True),
        ("events.shop.order.>", "events.shop.order.42", True),
        ("events.shop.invoice.>", "events.shop.order.42", False),
    ],
)
def test_a_subject_pattern_matches_token_by_token(pattern: str, subject: str, matches: bool) -> None:
    found = routes.load(f"routes: [{{subject: '{pattern}', groups: all}}]").matching(an_event(subject=subject))
    assert bool(found) is matches


@pytest.mark.parametrize(
    ("pattern", "event_type", "matches"),
    [
        ("order.shipped", "order.shipped", True),
        ("order.*", "order.shipped", True),
        ("*.shipped", "order.shipped", True),
        ("*", "anything", True),
        ("order.*", "invoice.paid", False),
        ("order.ship", "order.shipped", False),
        ("order.s.*", "order.sxy", False),
    ],
)
def test_a_type_pattern_matches_the_whole_type(pattern: str, event_type: str, matches: bool) -> None:
    found = routes.load(f"routes: [{{subject: events.>, type: '{pattern}', groups: all}}]")
    assert bool(found.matching(an_event(headers={"ce-type": event_type}))) is matches


def test_all_matching_routes_count() -> None:
    file = """
    routes:
      - {subject: events.>, groups: everything}
      - {subject: events.shop.order.*, type: order.paid, users: ["{data.seller}"]}
      - {subject: events.bank.>, groups: bankers}
    """
    assert channels_of(file, {"seller": "bob"}, {"ce-type": "order.paid"}) == ["group:everything", "user:bob"]


def test_a_list_in_the_data_gives_a_target_for_each_element() -> None:
    file = "routes: [{subject: events.>, users: ['{data.items.owner}'], channels: ['orders:{data.a}:{data.b}']}]"
    data = {"items": [{"owner": "x"}, {"owner": 7}], "a": [1, 2], "b": ["p", "q"]}
    assert channels_of(file, data) == ["orders:1:p", "orders:1:q", "orders:2:p", "orders:2:q", "user:x", "user:7"]


def test_a_field_that_may_be_missing_gives_no_target_when_it_is() -> None:
    file = "routes: [{subject: events.>, groups: all, users: ['{data.assignee?}', '{data.watchers.id?}']}]"
    assert channels_of(file, {"assignee": None, "watchers": [{"id": "w"}, {}]}) == ["user:w", "group:all"]
    assert channels_of(file, "no object at all") == ["group:all"]


def test_an_event_without_any_target_is_unroutable() -> None:
    assert reason_of("routes: []").reason is Reason.UNROUTABLE
    assert reason_of("routes: [{subject: events.>, users: ['{data.assignee?}']}]", {}).reason is Reason.UNROUTABLE


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({}, "the data has no customer.id"),
        ({"customer": {"id": None}}, "the data has no customer.id"),
        ({"customer": [{"id": "a"}, {}]}, "the data has no customer.id"),
        ({"customer": "alice"}, "the data has no customer.id"),
        (None, "the data has no customer.id"),
        ({"customer": {"id": {"x": 1}}}, "customer.id is an object"),
        ({"customer": {"id": 1.5}}, "customer.id is a fraction"),
        ({"customer": {"id": ""}}, "customer.id is an empty text"),
        ({"customer": {"id": 10**30}}, "customer.id is too large a number"),
        ({"customer": {"id": "a.b"}}, "'orders:a.b' is not a channel"),
        ({"customer": {"id": "a b"}}, "'orders:a b' is not a channel"),
        ({"customer": {"id": "*"}}, "'orders:*' is not a channel"),
        ({"customer": {"id": ">"}}, "'orders:>' is not a channel"),
        ({"customer": {"id": "x" * 129}}, "is not a channel"),
    ],
)
def test_a_value_that_makes_no_channel_is_a_bad_target(data: Any, hint: str) -> None:
    fault = reason_of("routes: [{subject: events.>, channels: ['orders:{data.customer.id}']}]", data)
    assert fault.reason is Reason.BAD_TARGET
    assert hint in fault.message


def test_a_user_longer_than_any_token_allows_is_a_bad_target() -> None:
    fault = reason_of("routes: [{subject: events.>, users: ['{data.u}']}]", {"u": "x" * 513})
    assert (fault.reason, "longer than 512" in fault.message) == (Reason.BAD_TARGET, True)


def test_a_channel_in_an_unknown_namespace_is_told_apart() -> None:
    with pytest.raises(UnknownNamespace) as caught:
        channels_of("routes: [{subject: events.>, channels: 'nowhere:{id}'}]")
    assert (caught.value.reason, caught.value.namespace) == (Reason.UNKNOWN_CHANNEL, "nowhere")


@pytest.mark.parametrize("template", ["{data.u}", "{data.u}-{data.u}"])
def test_an_audience_has_a_bound(template: str) -> None:
    fault = reason_of(
        f"routes: [{{subject: events.>, users: ['{template}']}}]", {"u": [f"u{n}" for n in range(MAX_TARGETS + 1)]}
    )
    assert fault.reason is Reason.TOO_MANY_TARGETS


def test_the_bound_is_for_the_sum_of_routes_and_headers() -> None:
    file = "routes: [{subject: events.>, users: ['{data.u}'], groups: ['{data.u}']}]"
    assert reason_of(file, {"u": [f"u{n}" for n in range(MAX_TARGETS // 2 + 1)]}).reason is Reason.TOO_MANY_TARGETS


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        ("routes: [", "line 1, column 10: not YAML"),
        ("- a\n", "must be a mapping with the one key `routes`"),
        ("", "must be a mapping with the one key `routes`"),
        ("{}", "routes: Field required"),
        ("routes: [], more: 1", "not YAML"),
        ("{routes: [], more: 1}", "more: Extra inputs"),
        ("routes: [{subject: events.>}]", "routes[0]: a route needs at least one of channels, users, groups"),
        ("routes: [{subject: events.>, users: alice, topic: x}]", "routes[0].topic: Extra inputs"),
        ("routes: [{users: alice}]", "routes[0].subject: Field required"),
        ("routes: [{subject: events.>, users: [1]}]", "routes[0].users[0]: Input should be a valid string"),
        ("routes: [{subject: shop.order.*, users: a}]", "routes[0].subject: 'shop.order.*' can match no event"),
        ("routes: [{subject: events.shop, users: a}]", "can match no event"),
        ("routes: [{subject: events.shop.order.42.more, users: a}]", "can match no event"),
        ("routes: [{subject: events.>.order.*, users: a}]", "can match no event"),
        ("routes: [{subject: events.shop.or*.42, users: a}]", "can match no event"),
        ("routes: [{subject: events.shop.order.42.>, users: a}]", "can match no event"),
        ("routes: [{subject: events.Shop.order.*, users: a}]", "can match no event"),
        ("routes: [{subject: 'events.shop.a:b.*', users: a}]", "can match no event"),
        ("routes: []\nroutes: [{subject: events.>, users: a}]", "line 2, column 1: not YAML: routes stands here twice"),
        ("routes: [{subject: events.>, users: a, users: b}]", "column 40: not YAML: users stands here twice"),
        ("routes: [{subject: events.>, users: '{who}'}]", "routes[0].users[0]: {who} is no field"),
        ("routes: [{subject: events.>, users: '{data}'}]", "{data} is no field"),
        ("routes: [{subject: events.>, users: '{data.a..b}'}]", "{data.a..b} is no field"),
        ("routes: [{subject: events.>, users: 'a{'}]", "write a field as {id}"),
        ("routes: [{subject: events.>, users: ''}]", "write a field as {id}"),
        ("routes: [{subject: events.>, channels: orders}]", "routes[0].channels[0]: 'orders': write namespace:name"),
        ("routes: [{subject: events.>, channels: '{data.ns}:{id}'}]", "never a field of the data"),
        ("routes: [{subject: events.>, channels: 'or{entity}:{id}'}]", "never a field of the data"),
        ("routes: [{subject: events.>, channels: 'orders:a.{id}'}]", "no channel can have that name"),
        ("routes: [{subject: events.>, channels: 'Orders:{id}'}]", "write namespace:name"),
        ("routes: [{subject: events.>, type: '', users: a}]", "routes[0].type"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(file: str, hint: str) -> None:
    with pytest.raises(MalformedRoutes) as caught:
        routes.load(file)
    assert hint in str(caught.value)


VALUES = st.recursive(
    st.text(max_size=12) | st.integers() | st.booleans() | st.none() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=6,
)
TEMPLATES = st.lists(
    st.sampled_from(["{id}", "{domain}", "{entity}", "{type}", "{data.a}", "{data.a.b?}", "{data.b}", "x", "-", ":"]),
    min_size=1,
    max_size=4,
).map("".join)


@given(text=TEMPLATES, data=VALUES | st.fixed_dictionaries({"a": VALUES, "b": VALUES}), event_type=st.text(max_size=9))
def test_nothing_outside_the_grammar_ever_reaches_a_subject(text: str, data: Any, event_type: str) -> None:
    event = an_event()._replace(value=data, type=event_type)
    try:
        channels = ChannelTemplate.parse(f"orders:{text}").expand(event)
    except Undeliverable:
        return
    for channel in channels:
        assert channel.namespace == "orders"
        for subject in (publish_subject(channel), live_subject(channel)):
            assert subject.count(".") == 2
            assert not set(subject) & set("*> \t\r\n\0")


@given(text=st.text(max_size=20))
def test_any_text_is_a_template_or_a_mistake(text: str) -> None:
    try:
        template = Template.parse(text)
    except MalformedRoutes:
        return
    assert template.parts


@given(user=st.text(min_size=1, max_size=512))
def test_any_user_in_the_data_gets_an_inbox_of_their_own(user: str) -> None:
    event = an_event()._replace(value={"user": user})
    (target,) = targets(event, routes.load("routes: [{subject: events.>, users: '{data.user}'}]"), NAMESPACES)
    assert re.fullmatch(CHANNEL_PATTERN, str(target.channel))
