"""Auth: the one holder of secrets; mints, refreshes and verifies tokens."""
