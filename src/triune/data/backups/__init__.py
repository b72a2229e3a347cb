"""Backups: one consistent point of everything, kept by restic, proven by restoring it."""
