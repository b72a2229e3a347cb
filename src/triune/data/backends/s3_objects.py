"""The buckets of an S3 store as folders, for backups."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from triune.data.backups.ports import Progress

_AT_ONCE = 8


class S3Objects:
    """`triune.data.backups.ports.Objects` by boto3. ``client`` is an S3 client."""

    def __init__(self, client: Any, buckets: Sequence[str]) -> None:
        self._client = client
        self._buckets = buckets

    def copy(self, folder: Path, on_progress: Progress) -> int:
        known = {bucket["Name"] for bucket in self._client.list_buckets()["Buckets"]}
        wanted = [
            (bucket, one["Key"])
            for bucket in self._buckets
            if bucket in known
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for one in page.get("Contents", ())
            if not one["Key"].endswith("/")
        ]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done, _ in enumerate(pool.map(lambda one: self._get(folder, *one), wanted), 1):
                if done % 100 == 0:
                    on_progress(f"copying objects: {done} of {len(wanted)}")
        return len(wanted)

    def _get(self, folder: Path, bucket: str, key: str) -> None:
        path = folder / bucket / quote(key, safe="")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._client.download_file(bucket, key, str(path))

    def put(self, folder: Path) -> None:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._put, paths))

    def _put(self, path: Path) -> None:
        self._client.upload_file(str(path), path.parent.name, unquote(path.name))
