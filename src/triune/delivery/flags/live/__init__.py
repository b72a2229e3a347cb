"""Flags in any process: connected to the flag server, and good without it.

==============  ==========================================================================
``events``      server-sent events read from bytes; pure
``wire``        the two ways to the server: its stream, and asking
``service``     `LiveFlags`: a thread that keeps the flags current, whatever happens
``provider``    the same behind the OpenFeature SDK
==============  ==========================================================================
"""
