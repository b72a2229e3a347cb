"""How each engine is started: one small file per engine, each giving a `Service`.

A file knows its engine's binary, its flags, its configuration file and how it says that it
is ready. Passwords reach an engine through owner-only files, never through arguments.
"""
