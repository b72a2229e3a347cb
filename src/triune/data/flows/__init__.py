"""Flows: build, check, stages and materialisation, run as one."""
