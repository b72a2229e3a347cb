"""The parts of the canary simulation: traffic, latency, the deciders, the scenarios."""
