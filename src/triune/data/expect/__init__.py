"""Expectations: what must hold of a dataset before anything trains on it."""
