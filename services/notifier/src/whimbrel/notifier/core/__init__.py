"""What becomes of a domain event: pure functions and state, no bus, no clock."""
