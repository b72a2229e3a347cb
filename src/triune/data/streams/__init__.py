"""Streams: events on a topic become online features."""
