"""The command line: one small file per noun; each turns options into a use case's arguments."""
