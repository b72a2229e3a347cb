"""Commands that a test interrupts as the keyboard does."""

from __future__ import annotations

INTERRUPTIBLE = ("env", "--default-signal=INT")
"""Before a command: it hears SIGINT even where the test run's own parent ignores it, as shells
make background jobs do."""
