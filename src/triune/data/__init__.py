"""Data: dataset versions under DVC.

`service.Data` builds, versions, verifies and checks out datasets, and writes each version
to the ledger.
"""
