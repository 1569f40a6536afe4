"""Bus, HTTP and store around the core."""
