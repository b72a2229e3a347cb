"""Delivery: how a release reaches users and how it leaves them again.

`gateway` says who answers a request, `release` what can answer, `state` what each endpoint
is meant to be, `moves` how it changes from one release to the next, `guard` when it goes
back by itself, and `ingest` how every answer becomes an event.
"""
