"""Services: the long-running processes of a workspace, started, watched and stopped as one.

`Supervisor` runs processes described by `triune.core.process.ProcessSpec`; `Addresses` says
where each of them answers. Every process carries ``TRIUNE_MARKER`` in its environment, so
that whatever a crash leaves behind is found and cleared, and nothing else is ever touched.
"""
