"""The model server: one process tree that answers predictions of one release.

``python -m triune.models.serving spec.json`` serves the Open Inference Protocol v2 (REST) and
MLflow's ``/invocations``. How a request travels:

=================  =======================================================================
``spec``           what to serve (`ServingSpec`), a JSON file
``supervision``    the parent: checks and snapshots the model, starts workers, drains
``worker``         a worker: loads the snapshot, builds the application
``application``    routes; every answer's headers and status
``protocol``       bodies in (`oip`, `invocations`) checked against the `contract`; answers out
``engine``         runs the model: deadline, fallback, bounded queue
``backends``       what a model is: ONNX Runtime, scikit-learn, any MLflow model
``metrics``        counters shared by all workers, written out for Prometheus
=================  =======================================================================
"""
