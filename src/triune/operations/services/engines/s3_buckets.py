"""The buckets of the object store: made where they are missing, each time it has started."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from triune.core.waiting import wait_until
from triune.operations.services.addresses import S3

_PATIENCE_SECONDS = 60.0
_PROBE = ".triune-is-ready"


def make(s3: S3, names: Iterable[str]) -> None:
    """Returns once every bucket is there and an object was written and read back; buckets that are
    there are left alone.

    A store that has just started may answer for a while that it cannot, the part that holds the
    bytes even later than the part that lists them: it is asked again.

    Raises
    ------
    Unavailable: (``wait-timed-out``) after a minute.
    """
    wanted = frozenset(names)
    there = client(s3)
    wait_until(
        lambda: _made(there, wanted) and _keeps(there, min(wanted)),
        timeout=_PATIENCE_SECONDS,
        what=f"the buckets {', '.join(sorted(wanted))}",
        hint="`triune logs seaweedfs` shows what the object store says.",
    )


def _made(there: Any, wanted: frozenset[str]) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        missing = wanted - {bucket["Name"] for bucket in there.list_buckets()["Buckets"]}
        for name in sorted(missing):
            there.create_bucket(Bucket=name)
    except (BotoCoreError, ClientError):
        return False
    return not missing


def _keeps(there: Any, bucket: str) -> bool:
    """Whether an object comes back as it went in."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        there.put_object(Bucket=bucket, Key=_PROBE, Body=_PROBE.encode())
        found = there.get_object(Bucket=bucket, Key=_PROBE)["Body"].read()
        there.delete_object(Bucket=bucket, Key=_PROBE)
    except (BotoCoreError, ClientError):
        return False
    return bool(found == _PROBE.encode())


def client(s3: S3) -> Any:
    """A boto3 client of the store, which asks once and does not wait for long."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=s3.url,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
        config=Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 0}, proxies={}),
    )
