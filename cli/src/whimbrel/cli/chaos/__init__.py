"""A network that misbehaves on purpose, between clients and an edge: for tests of clients, and of what uses one.

``async with ChaosProxy("http://127.0.0.1:8080") as proxy: proxy.network = Network(upgrade="refuse")``
"""

from whimbrel.cli.chaos.network import Network
from whimbrel.cli.chaos.proxy import ChaosProxy

__all__ = ["ChaosProxy", "Network"]
