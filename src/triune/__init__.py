"""Triune: a self-hosted engineering platform for machine-learning products.

The names a workspace's own code uses are here; each is loaded on first use, so that
``import triune`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triune.app.flag_provider import flag_provider
    from triune.models.tracking import Run, run

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "flag_provider", "run"]

_LAZY = {
    "run": "triune.models.tracking",
    "Run": "triune.models.tracking",
    "flag_provider": "triune.app.flag_provider",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'triune' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
