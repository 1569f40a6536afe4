"""The edge's sockets and the bus: which bytes, which deadline, which effect."""
