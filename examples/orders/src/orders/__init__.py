"""A domain team in miniature: publishes order events and serves a page that shows them."""
