"""Hashing and copying many files quickly, in DVC's own layout: plain `dvc` takes the result."""
