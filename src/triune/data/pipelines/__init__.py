"""Pipelines: the stages of `dvc.yaml`, run so that old outputs stay until the new are done."""
