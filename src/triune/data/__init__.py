"""Data: dataset versions under DVC, and feature views defined over them.

`service.Data` builds, versions, verifies and checks out datasets; `features.FeatureViews`
names what a feature function's code and dataset make. Both write to the ledger.
"""
