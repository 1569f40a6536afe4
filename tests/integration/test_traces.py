"""One trace from the domain event to the frame that the client receives."""

from collections.abc import Callable

from tests.integration.collector import collecting
from tests.integration.outsiders import DomainTeam, a_session
from tests.support.dev import Development

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


async def test_a_sampled_event_is_one_trace_down_to_the_client(start_development: Callable[..., Development]) -> None:
    with collecting() as collector:
        development = start_development(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_BSP_SCHEDULE_DELAY="200")
        shop = await DomainTeam.connect(development)
        async with a_session(development, development.token("alice"), "orders:traced") as socket:
            await shop.publish("traced", 1, headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
            unsampled = await socket.until(lambda frame: frame["type"] == "publication")
            await shop.publish("traced", 2, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
            sampled = await socket.until(lambda frame: frame["type"] == "publication")
        await shop.close()
        assert "trace" not in unsampled
        version, trace, parent, flags = sampled["trace"].split("-")
        assert (version, trace, flags) == ("00", TRACE, "01")

        spans = await collector.until(TRACE, {"process events.shop.order", "publish pub.orders", "deliver orders"})
        process, publish, deliver = (
            spans[name] for name in ("process events.shop.order", "publish pub.orders", "deliver orders")
        )
        assert (process.service, process.parent) == ("whimbrel-notifier", CALLER)
        assert (publish.service, publish.parent) == ("whimbrel-notifier", process.id)
        assert (deliver.service, deliver.parent) == ("whimbrel-edge", publish.id)
        assert parent == publish.id
