"""The wire contract of Whimbrel: every frame, code, subject, limit and position, spelt once.

Nothing here does I/O. The edge, the services around it and the Python client import these names; JSON Schema, AsyncAPI,
OpenAPI, the reference pages and the JavaScript types are generated from them (``whimbrel.protocol.contract``).
"""
