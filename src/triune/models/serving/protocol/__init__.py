"""Bodies in and out: the Open Inference Protocol v2 and MLflow's ``/invocations``."""
