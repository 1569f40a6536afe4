"""Checks of deploy/ that need no cluster: each yields one sentence per fault."""
