"""Hypothesis on a busy machine: neither an example's time nor the time to draw them says anything about the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
