"""The Python client: live publications, recovery by position, fallback between transports."""
