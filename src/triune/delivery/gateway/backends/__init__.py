"""Gateways that pass ``tests/contract/delivery``."""
