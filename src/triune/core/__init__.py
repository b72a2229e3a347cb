"""Words and tools every other package stands on; nothing here knows an engine."""
