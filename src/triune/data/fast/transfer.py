"""Datasets into a store of content, and from one store to another."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from triune.data.fast import objects
from triune.data.fast.hashing import SMALL, Hashed, changing
from triune.data.fast.parallel import Progress, silent, spread


def listing(hashed: Sequence[Hashed]) -> tuple[str, bytes]:
    """Key and bytes of a folder's listing, as DVC writes it."""
    ordered = sorted(hashed, key=lambda one: one.entry.name)
    rows = [{"md5": one.md5, "relpath": one.entry.name} for one in ordered]
    raw = json.dumps(rows, sort_keys=True).encode()
    return hashlib.md5(raw, usedforsecurity=False).hexdigest() + objects.FOLDER_MARK, raw


def take(store: Path, hashed: Sequence[Hashed], *, on_progress: Progress = silent) -> int:
    """Copy files into the store that are not in it; returns how many were.

    Raises
    ------
    Refused: (``dataset-changing``) a file is not what was hashed.
    Unavailable: (``disk-full``); nothing that is there was changed.
    """
    missing: dict[str, Hashed] = {}
    for one in hashed:
        if not objects.there(objects.place(store, one.md5), one.entry.size):
            missing.setdefault(one.md5, one)
    wanted = list(missing.values())
    with objects.Room(store):
        for prefix in {one.md5[:2] for one in wanted}:
            (store / prefix).mkdir(parents=True, exist_ok=True)
    for _ in spread(partial(_take, store), wanted, on_progress):
        pass
    return len(wanted)


def copy_missing(
    source: Path, target: Path, keys: Mapping[str, int | None], *, on_progress: Progress = silent
) -> int:
    """Copy objects from one store to another that does not have them; returns how many.

    Each is hashed on the way: a damaged one is not passed on.

    Raises
    ------
    FileNotFoundError: an object is not in ``source``.
    DamagedObject: its bytes are not what its name says.
    Unavailable: (``disk-full``) there is no room in ``target``.
    """
    wanted = [key for key in keys if not os.path.exists(objects.place(target, key))]  # noqa: PTH110
    with objects.Room(target):
        for prefix in {key[:2] for key in wanted}:
            (target / prefix).mkdir(parents=True, exist_ok=True)
    for _ in spread(partial(_copy, source, target), wanted, on_progress):
        pass
    return len(wanted)


def _copy(source: Path, target: Path, key: str) -> None:
    with objects.Room(target):
        objects.copy_checked(objects.place(source, key), objects.place(target, key), key)


def _take(store: Path, one: Hashed) -> None:
    target = objects.place(store, one.md5)
    try:
        with objects.Room(store):
            if one.entry.size < SMALL:
                _take_small(target, one)
            else:
                objects.copy_checked(one.entry.path, target, one.md5)
    except (objects.DamagedObject, FileNotFoundError):
        raise changing(one.entry) from None


def _take_small(target: str, one: Hashed) -> None:
    descriptor = os.open(one.entry.path, os.O_RDONLY)
    try:
        raw = os.read(descriptor, one.entry.size + 1)
    finally:
        os.close(descriptor)
    if len(raw) != one.entry.size or hashlib.md5(raw, usedforsecurity=False).hexdigest() != one.md5:
        raise changing(one.entry)
    objects.write(target, raw)
