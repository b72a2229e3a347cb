"""The registry: a run's model becomes a numbered, signed version that never changes again."""
