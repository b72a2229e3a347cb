"""Engines below rollouts: Temporal."""
