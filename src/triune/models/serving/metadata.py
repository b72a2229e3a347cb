"""What the server says about itself and its model (Open Inference Protocol v2)."""

from __future__ import annotations

from typing import Any

from triune import __version__
from triune.models.serving.engine import Engine
from triune.models.serving.protocol.contract import Contract
from triune.models.serving.spec import ServingSpec
from triune.models.serving.tensors import TensorSpec


def server_metadata() -> dict[str, Any]:
    """``GET /v2``."""
    return {"name": "triune", "version": __version__, "extensions": []}


def model_metadata(
    spec: ServingSpec, version: str, contract: Contract, engine: Engine
) -> dict[str, Any]:
    """``GET /v2/models/{name}``: what to send and what comes back."""
    return {
        "name": spec.model_name,
        "versions": [version],
        "platform": f"triune-{engine.primary.model.form}",
        "inputs": [_tensor(item) for item in contract.inputs],
        "outputs": [_tensor(item) for item in engine.primary.outputs],
        "parameters": {
            "endpoint": spec.endpoint,
            "model": spec.model.ref,
            "max_rows": spec.max_rows,
            "max_body_bytes": spec.max_body_bytes,
            "optional_inputs": [contract.inputs[place].name for place in sorted(contract.optional)],
        },
    }


def _tensor(item: TensorSpec) -> dict[str, Any]:
    shape = [-1] if item.width == 1 else [-1, item.width or -1]
    return {"name": item.name, "datatype": str(item.datatype), "shape": shape}
