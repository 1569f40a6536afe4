"""What a token says and whether it counts: pure decisions; the time and all randomness are handed in."""
