"""Feature flags: flagd's definitions, compiled once, evaluated in process."""
