"""What one model server serves: written by delivery, read by the server's process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from triune.core.errors import NotFound, Refused
from triune.core.files import write_atomic
from triune.models.serving.tensors import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model version on disk, and what its bytes must be."""

    ref: str
    """Lineage reference, ``model:<name>@<version>``."""
    path: Path
    """The version's folder: ``mlflow/``, perhaps ``onnx/``, ``model.sig``."""
    digest: str
    """`digest_tree` of the folder without ``model.sig``."""
    public_key: Path
    """The key its signature is checked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineSpec:
    """Inputs that the server looks up, and by what."""

    factory: str
    """``module:function`` that makes a `triune.models.serving.ports.Lookup` of the settings."""
    settings: dict[str, Any]
    entities: dict[str, str]
    """Join key -> input that callers send it in."""
    features: tuple[str, ...]
    """The inputs that are looked up where callers do not send them."""
    refuse: bool = False
    """Whether a request whose features have no value is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSpec:
    """One server: a release in its role (arm) at an endpoint."""

    endpoint: str
    model_name: str
    """The model's name in URLs: the endpoint's slug."""
    arm: str
    release: str
    """Lineage reference of the release, ``release:<endpoint slug>@<digest>``."""
    model: ModelFile
    fallback: ModelFile | None = None
    """Answers when the primary raised or was late."""
    host: str = "127.0.0.1"
    port: int
    inputs: tuple[TensorSpec, ...] = ()
    """What callers send: the model's inputs or more; empty means exactly the model's."""
    workers: int = 1
    deadline_ms: float | None = None
    """The longest wait for the primary; None runs it to the end."""
    max_body_bytes: int = 4 * 1024 * 1024
    max_rows: int = 10_000
    max_pending: int = 1024
    """The most requests that may wait for a model run on the worker thread."""
    drain_seconds: float = 8.0
    """The longest wait for requests in flight when stopping."""
    scratch: Path | None = None
    """Where the private snapshot of the model goes; None is the system's temporary folder."""

    online: OnlineSpec | None = None
    """Inputs that are looked up; None looks nothing up."""

    samples: Path | None = None
    """Where answers to marked requests are kept for comparison; None keeps none."""

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        raw = msgspec.json.encode(self, enc_hook=_encode)
        write_atomic(path, msgspec.json.format(raw) + b"\n")


def load(path: Path) -> ServingSpec:
    """The spec in a file.

    Raises
    ------
    NotFound: (``serving-spec-missing``).
    Refused: (``serving-spec-invalid``) with the key and what is wrong with it.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            "serving-spec-missing",
            "there is no such serving spec",
            context=str(path),
            hint="Delivery writes it when a release is started; or use `triune serve`.",
        ) from None
    try:
        return msgspec.json.decode(raw, type=ServingSpec, dec_hook=_decode)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(
            "serving-spec-invalid",
            f"the spec is not one: {error}",
            context=str(path),
            hint="Compare it with docs/reference/serving.md.",
        ) from None


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind.__name__)
