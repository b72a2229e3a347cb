"""Features online: one packed value for each entity and view version, read in one round trip.

Nothing in here but `store` imports Feast, so that a model server can read features without it.
"""
