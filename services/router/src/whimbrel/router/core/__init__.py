"""What namespaces, memberships and keys mean: pure decisions; the time and all randomness are handed in."""
