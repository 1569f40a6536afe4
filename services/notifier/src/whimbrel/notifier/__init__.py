"""The notifier: turns domain events into publications, by routes and audience."""
