"""The ledger: one append-only log of everything that happens, and the lineage it implies."""
