"""Everything on one machine: a nats-server, the four services and the example, as processes of their own."""
