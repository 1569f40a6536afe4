"""Hypothesis without a deadline per example: on a busy machine it would measure the machine."""

from hypothesis import settings

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")
