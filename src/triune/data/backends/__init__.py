"""Engines behind the ports of `triune.data`: the only files that import them."""
