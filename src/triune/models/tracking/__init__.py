"""Tracking: what a run did, recorded while it happens and lost by nothing.

User code writes frames to a journal (`session`); others read it: the catalogue of runs, the
ledger's events, and the shipper that brings everything into MLflow.
"""

from triune.models.tracking.model import RunRecord, RunStatus
from triune.models.tracking.session import Run, start
from triune.models.tracking.standalone import run

__all__ = ["Run", "RunRecord", "RunStatus", "run", "start"]
