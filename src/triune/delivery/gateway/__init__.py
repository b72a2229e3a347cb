"""The gateway: one address for callers, and a table that says who answers them."""
