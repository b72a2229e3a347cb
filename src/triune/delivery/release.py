"""Releases: immutable bundles of everything an endpoint needs to serve.

A bundle is one canonical JSON text (sorted keys, no spaces, UTF-8). Its SHA-256 is its
identity: ``release:<endpoint slug>@<first 12 hex digits>``. It lies in
``.triune/state/releases/<endpoint slug>@<12 hex>.json`` and never changes; the
``release.created`` event carries the whole digest and the lineage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from triune.core.config import slug
from triune.core.errors import NotFound, Refused
from triune.core.files import inside, write_atomic
from triune.core.ids import digest_bytes, key_of, reference

DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Pin:
    """A model version and the digest its bytes must have."""

    ref: str
    digest: str


@dataclass(frozen=True, slots=True)
class Input:
    """One column the endpoint's callers send."""

    name: str
    datatype: str
    width: int = 1


@dataclass(frozen=True, slots=True)
class Online:
    """Inputs that are looked up while serving.

    ``features`` has input -> ``view:feature``; ``layouts`` how the pinned view versions are packed.
    """

    entities: Mapping[str, str]
    features: Mapping[str, str]
    layouts: tuple[Mapping[str, Any], ...]
    missing: str = "null"
    timeout_ms: float = 50.0


@dataclass(frozen=True, slots=True)
class Serving:
    """How the model server is to run; times in milliseconds."""

    workers: int = 1
    deadline_ms: float | None = None
    fallback: Pin | None = None
    max_body_bytes: int = 4 * 1024 * 1024
    max_rows: int = 10_000
    inputs: tuple[Input, ...] = ()
    online: Online | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a release is made of. ``commit`` is empty only when the release was forced."""

    endpoint: str
    model: Pin
    serving: Serving
    features: tuple[str, ...] = ()
    commit: str = ""
    flags: Mapping[str, Any] = field(default_factory=dict)
    format: int = 1


# Made here, in one thread: the first use of a type in several at once ends the process.
_decode = msgspec.json.Decoder(Bundle).decode


@dataclass(frozen=True, slots=True)
class Release:
    """A bundle under its reference."""

    ref: str
    digest: str
    bundle: Bundle
    path: Path


@dataclass(frozen=True, slots=True)
class Change:
    """One place where two bundles differ; None where a bundle lacks it."""

    key: str
    before: Any
    after: Any


def canonical(bundle: Bundle) -> bytes:
    """The bundle's one text form."""
    value = msgspec.to_builtins(bundle)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def name(bundle: Bundle) -> str:
    """``release:<endpoint slug>@<12 hex>``."""
    digest = digest_bytes(canonical(bundle)).removeprefix("sha256:")
    return reference("release", f"{slug(bundle.endpoint)}@{digest[:DIGEST_LENGTH]}")


def settings_of(bundle: Bundle) -> tuple[tuple[str, Any], ...]:
    """Every setting of a bundle under its dotted key, sorted."""
    return tuple(sorted(_flat("", msgspec.to_builtins(bundle))))


def diff(before: Bundle, after: Bundle) -> tuple[Change, ...]:
    """Every setting in which two bundles differ, by its dotted key."""
    left, right = dict(settings_of(before)), dict(settings_of(after))
    return tuple(
        Change(key, left.get(key), right.get(key))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    )


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, item)
    else:
        yield prefix, value


class BundleStore:
    """The folder of bundles: written once, checked at every reading."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, bundle: Bundle) -> Release:
        """Write a bundle, unless it is there; returns it under its reference."""
        ref = name(bundle)
        path = self._path(ref)
        if not path.exists():
            write_atomic(path, canonical(bundle), mode=0o444)
        return self.get(ref)

    def get(self, ref: str) -> Release:
        """The release of a reference (``release:`` may be left out).

        Raises
        ------
        NotFound: (``release-not-found``).
        Refused: (``release-tampered``) its bytes are not those it was made with.
        """
        whole = ref if ref.startswith("release:") else reference("release", ref)
        path = self._path(whole)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(
                "release-not-found",
                f"there is no release {whole}",
                context=str(self._folder),
                hint="`triune release list` shows those there are.",
            ) from None
        digest = digest_bytes(data)
        if not digest.removeprefix("sha256:").startswith(key_of(whole).rpartition("@")[2]):
            raise tampered(whole, path)
        try:
            bundle = _decode(data)
        except msgspec.MsgspecError as error:
            raise tampered(whole, path) from error
        return Release(whole, digest, bundle, path)

    def references(self) -> list[str]:
        """Every release there is a bundle of, by name."""
        return [reference("release", path.stem) for path in sorted(self._folder.glob("*@*.json"))]

    def _path(self, ref: str) -> Path:
        return inside(self._folder, f"{key_of(ref)}.json")


def tampered(ref: str, path: Path) -> Refused:
    """The error for a bundle whose bytes no longer match its digest."""
    return Refused(
        "release-tampered",
        f"the bytes of {ref} no longer match its digest",
        context=str(path),
        hint="Restore the file from a backup, or create the release again.",
    )
