"""Gateways that pass ``tests/contract/test_gateway.py``."""
