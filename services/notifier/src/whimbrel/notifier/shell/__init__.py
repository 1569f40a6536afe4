"""The notifier's side of the bus and the clock."""
