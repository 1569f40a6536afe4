"""What the desk makes of a message: publications, a dead letter, or not yet anything."""

import logging
import math
from collections.abc import Mapping

import pytest
from opentelemetry.trace import NoOpTracer

from tests.notifier.events import EPOCH, STORED_AT_NS, a_message
from whimbrel.notifier.core import routes
from whimbrel.notifier.core.errors import Reason
from whimbrel.notifier.core.retry import DUPLICATE_WINDOW_S
from whimbrel.notifier.shell.desk import PATIENCE_S, Desk, NotYet
from whimbrel.protocol.namespaces import Namespace
from whimbrel.runtime.logs import Logger

STORED_AT = STORED_AT_NS / 1e9
ROUTES = "routes: [{subject: events.shop.order.*, channels: 'orders:{id}'}]"


class Scene:
    """A desk whose clock and namespaces the test decides."""

    def __init__(self, *, restored_at: int = 0) -> None:
        self.now = 0.0
        self.unix_time = STORED_AT
        self.namespaces: Mapping[str, Namespace] = {"orders": Namespace(durable=True)}
        self.desk = Desk(
            routes.load(ROUTES),
            lambda: self.namespaces,
            NoOpTracer(),
            Logger(logging.getLogger("whimbrel.test")),
            epoch=EPOCH,
            restored_at=restored_at,
            max_bytes=100_000,
            clock=lambda: self.now,
            unix_time=lambda: self.unix_time,
        )


def test_a_routed_event_is_composed() -> None:
    composed = Scene().desk.compose(a_message(), redelivered=False)
    assert ([one.subject for one in composed.publications], composed.dead) == (["pub.orders.42"], None)


def test_an_undeliverable_event_is_a_dead_letter() -> None:
    composed = Scene().desk.compose(a_message(b"{"), redelivered=False)
    assert ([one.subject for one in composed.publications], composed.dead) == (["dlq.notifier"], Reason.NOT_JSON)


@pytest.mark.parametrize(
    ("redelivered", "age_s", "forgotten_in_s"),
    [(True, DUPLICATE_WINDOW_S + 1, -1), (True, DUPLICATE_WINDOW_S - 1, 1), (False, 1e6, math.inf)],
)
@pytest.mark.parametrize("payload", [b"{}", b"{"])
def test_what_a_dead_notifier_may_have_sent_is_forgotten_in_time(
    redelivered: bool, age_s: float, forgotten_in_s: float, payload: bytes
) -> None:
    scene = Scene()
    scene.now = 500
    scene.unix_time = STORED_AT + age_s
    (one,) = scene.desk.compose(a_message(payload), redelivered=redelivered).publications
    assert one.forgotten_at == 500 + forgotten_in_s


def test_an_unknown_namespace_is_waited_for_once_and_then_no_more() -> None:
    scene = Scene()
    scene.namespaces = {}
    with pytest.raises(NotYet):
        scene.desk.compose(a_message(), redelivered=False)
    scene.now = PATIENCE_S - 0.1
    with pytest.raises(NotYet):
        scene.desk.compose(a_message(), redelivered=False)
    scene.now = PATIENCE_S
    assert scene.desk.compose(a_message(), redelivered=False).dead is Reason.UNKNOWN_CHANNEL
    scene.now = 1000
    assert scene.desk.compose(a_message(sequence=8), redelivered=False).dead is Reason.UNKNOWN_CHANNEL


def test_a_namespace_that_appears_in_time_is_used() -> None:
    scene = Scene()
    known, scene.namespaces = scene.namespaces, {}
    with pytest.raises(NotYet):
        scene.desk.compose(a_message(), redelivered=False)
    scene.namespaces = known
    assert scene.desk.compose(a_message(), redelivered=False).dead is None


def test_a_fault_of_ours_costs_one_event_and_not_the_partition(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.namespaces = None  # type: ignore[assignment]
    assert scene.desk.compose(a_message(), redelivered=False).dead is Reason.INTERNAL
    assert [record.message for record in caplog.records] == ["event.failed"]


@pytest.mark.parametrize(("restored_at", "in_doubt"), [(int(STORED_AT) - 1, False), (int(STORED_AT) + 1, True)])
def test_after_a_restore_what_came_before_it_is_looked_up_before_it_is_sent(restored_at: int, in_doubt: bool) -> None:
    scene = Scene(restored_at=restored_at)
    scene.unix_time = STORED_AT + 1000
    (publication,) = scene.desk.compose(a_message(), redelivered=False).publications
    assert (publication.forgotten_at <= scene.now) is in_doubt
