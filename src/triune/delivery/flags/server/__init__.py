"""The flag server: evaluates for any language (OFREP), and pushes changes to who evaluates itself.

==============  ==========================================================================
``editions``    what is served now, and the way there: full configuration, changes, versions
``watch``       learns of changes from the ledger
``answers``     OFREP: bodies in, status and body out; pure
``streams``     server-sent events to every connected process
``gauges``      what is counted, and the same for Prometheus
``application`` routes, limits, who may ask
==============  ==========================================================================
"""
