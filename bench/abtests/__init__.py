"""Simulated A/B tests: worlds that make units, and the tests that look at them."""
