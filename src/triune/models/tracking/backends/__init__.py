"""Trackers that runs are shipped to."""
