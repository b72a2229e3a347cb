"""Recorded traffic, sent to an endpoint again as if it were live, with its outcomes.

A workspace's traffic function yields `Request` in the order things happened. `service.replay`
sends them at a steady rate, whatever the answers take (an open loop), keeps a record of each
(`records`), and tells the ledger every outcome once it would have been known (`outcomes`).
"""

from triune.app.replay.model import Request, Summary

__all__ = ["Request", "Summary"]
