"""The router: source of truth for namespaces, groups and who may do what."""
