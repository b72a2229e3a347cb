"""The change of an endpoint from one release to another, decided by evidence."""
