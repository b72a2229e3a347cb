"""A bucket in which nothing can be changed or deleted for a time: S3 object lock.

Every object keeps its versions there, and the store itself refuses to delete one before its time,
whoever asks. What somebody deletes or overwrites is only hidden, and can be brought back.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from triune.core.errors import Refused, Unavailable

_PASSING = "/locks/"


class LockedBucket:
    """The part of a locked bucket below ``prefix`` that one restic repository lies in.

    ``client`` is a boto3 client of S3; ``days`` for how long each version is kept unchangeable.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, days: int) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._days = days

    def ensure(self) -> None:
        """Make the bucket where it is missing, and set how long it keeps what is written.

        Raises
        ------
        Refused: (``backup-bucket-unlocked``) it was made without object lock, which no bucket
            can be given later, or the store knows no object lock.
        Unavailable: (``backup-repository-unreachable``).
        """
        from botocore.exceptions import BotoCoreError, ClientError

        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": self._days}}
        wanted = {"ObjectLockEnabled": "Enabled", "Rule": rule}
        try:
            names = {one["Name"] for one in self._client.list_buckets()["Buckets"]}
            if self._bucket not in names:
                self._client.create_bucket(Bucket=self._bucket, ObjectLockEnabledForBucket=True)
            self._client.put_object_lock_configuration(
                Bucket=self._bucket, ObjectLockConfiguration=wanted
            )
        except ClientError as error:
            raise Refused(
                "backup-bucket-unlocked",
                f"the bucket {self._bucket!r} cannot be locked: {error}",
                context=self._bucket,
                hint="Name a bucket in [backup] that is not there yet: a bucket can be locked only "
                "when it is made.",
            ) from error
        except BotoCoreError as error:
            raise _away(self._bucket, error) from error

    def recover(self, *, dry_run: bool) -> list[str]:
        """Bring back every object that was deleted or overwritten and is still kept; their keys.

        An object of a restic repository never changes, so its oldest version is the true one.
        """
        from botocore.exceptions import BotoCoreError

        try:
            hidden = list(self._hidden())
            if not dry_run:
                for key, markers, original in hidden:
                    self._uncover(key, markers, original)
        except BotoCoreError as error:
            raise _away(self._bucket, error) from error
        return [key for key, _, _ in hidden]

    def _hidden(self) -> Iterator[tuple[str, list[str], str | None]]:
        """Key, delete markers to remove, and the version to put back where another lies on it."""
        versions = sorted(self._versions(), key=itemgetter("Key"))
        for key, group in groupby(versions, key=itemgetter("Key")):
            found = list(group)
            whole = [one for one in found if "ETag" in one]
            markers = [one["VersionId"] for one in found if "ETag" not in one]
            deleted = any(one["IsLatest"] for one in found if "ETag" not in one)
            overwritten = bool(whole) and whole[0]["ETag"] != whole[-1]["ETag"]
            if whole and (deleted or overwritten):
                yield key, markers, whole[-1]["VersionId"] if overwritten else None

    def _versions(self) -> Iterator[dict[str, Any]]:
        """Every version, of one key the newest first as S3 lists them, and every delete marker."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        for page in pages:
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                if _PASSING not in one["Key"]:
                    yield one

    def _uncover(self, key: str, markers: list[str], original: str | None) -> None:
        for marker in markers:
            self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=marker)
        if original is not None:
            source = {"Bucket": self._bucket, "Key": key, "VersionId": original}
            self._client.copy_object(Bucket=self._bucket, Key=key, CopySource=source)


def _away(bucket: str, error: Exception) -> Unavailable:
    return Unavailable(
        "backup-repository-unreachable",
        "the backup repository does not answer",
        context=f"{bucket}: {error}",
        hint="`triune up` starts the object store of profile `server`.",
    )
