"""Transports and the driver: which bytes, which deadline, which effect. Decisions are made in ``core``."""
