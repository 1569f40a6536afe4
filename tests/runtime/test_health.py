"""Readiness is "may take new work"."""

from whimbrel.runtime.health import Health


def test_a_service_is_not_ready_before_it_says_so() -> None:
    health = Health()
    assert (health.is_ready, health.reasons) == (False, ("service: starting",))
    health.ready()
    assert (health.is_ready, health.reasons) == (True, ())


def test_a_failing_check_takes_readiness_until_it_holds_again() -> None:
    health = Health()
    health.ready()
    health.set("bus", False, "not connected to NATS")
    health.set("layout", False)
    assert health.reasons == ("bus: not connected to NATS", "layout: failing")
    health.set("bus", True)
    health.set("layout", True)
    assert health.is_ready


def test_who_drains_is_never_ready_again() -> None:
    health = Health()
    health.ready()
    health.draining()
    health.ready()
    assert health.reasons == ("service: draining",)
