"""``onnx/signature.json``: what the ONNX form of a model takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from triune.core.errors import Refused
from triune.core.files import write_atomic
from triune.models.serving.tensors import Layout, TensorSpec


@dataclass(frozen=True, slots=True)
class OnnxSignature:
    """Names, datatypes and widths, in the order the graph has them.

    With the layout ``columns`` the graph has one input per column, or a single one that
    takes all columns side by side in this order.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layout: Layout
    main: str = ""
    """The output that MLflow's own server would answer with; empty is the first."""

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_atomic(path, msgspec.json.format(msgspec.json.encode(self)) + b"\n")


class NoForm(Exception):
    """Why a model has no ONNX form; it is served by its own library instead."""


def load(path: Path) -> OnnxSignature:
    """Read it; raises `Refused` (``onnx-signature-invalid``)."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=OnnxSignature)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(
            "onnx-signature-invalid",
            f"the signature of the ONNX form cannot be read: {error}",
            context=str(path),
            hint="Register the model again; the ONNX form is made at registration.",
        ) from None
