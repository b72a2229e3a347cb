"""`triune loop`: the whole loop, from raw data to a model that serves, checked at the end."""
