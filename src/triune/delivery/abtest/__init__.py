"""A/B tests: which variant is better, by what happened to the units that saw it."""
