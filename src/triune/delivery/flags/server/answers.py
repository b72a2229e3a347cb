"""OFREP, the OpenFeature Remote Evaluation Protocol: a body in, a status and a body out. Pure.

https://github.com/open-feature/protocol, ``service/openapi.yaml``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from triune.delivery.flags.model import Code, Details, Kind
from triune.delivery.flags.server.editions import Edition

_decode = msgspec.json.Decoder().decode
_encode_quickly = msgspec.json.Encoder().encode


def _encode(told: Any) -> bytes:
    try:
        return _encode_quickly(told)
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can say and UTF-8 cannot
        return json.dumps(told).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back; ``counted`` has how often each reason or error was given."""

    status: int
    body: bytes
    counted: Mapping[str, int]
    etag: str | None = None


class BadRequest(Exception):
    """A body that is no evaluation request."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code = code


def one(edition: Edition, flag_set: str, key: str, body: bytes) -> Answer:
    """A flag for a context. ``flag_set``: whose flags these are."""
    try:
        context = _context(body)
    except BadRequest as bad:
        failure = {"key": key, "errorCode": bad.code, "errorDetails": str(bad)}
        return Answer(400, _encode(failure), {bad.code: 1})
    found = _evaluated(edition, key, context)
    status = 200
    if found.error is not None:
        status = 404 if found.error is Code.FLAG_NOT_FOUND else 400
    told = _told(edition, flag_set, key, found)
    return Answer(status, _encode(told), {_counted(found): 1})


def every(edition: Edition, flag_set: str, body: bytes, if_none_match: str | None) -> Answer:
    """All flags for a context; 304 when the caller has these very answers."""
    try:
        context = _context(body)
    except BadRequest as bad:
        failure = {"errorCode": bad.code, "errorDetails": str(bad)}
        return Answer(400, _encode(failure), {bad.code: 1})
    found = {key: _evaluated(edition, key, context) for key in edition.evaluator.keys}
    counted = Counter(map(_counted, found.values()))
    text = _encode(
        {
            "flags": [_told(edition, flag_set, key, one) for key, one in found.items()],
            "metadata": {"flagSetId": flag_set, "version": edition.version},
        }
    )
    etag = f'"{hashlib.sha256(text).hexdigest()[:16]}"'
    if matches(if_none_match, etag):
        return Answer(304, b"", counted, etag)
    return Answer(200, text, counted, etag)


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether a header ``If-None-Match`` names this entity tag (RFC 9110, 13.1.2)."""
    named = [one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")]
    return etag in named or "*" in named


def failed(details: str) -> bytes:
    """The body of an error that is not about a flag."""
    return _encode({"errorDetails": details})


def _context(body: bytes) -> dict[str, Any]:
    """The context of a request; a request without a body has an empty one."""
    if not body:
        return {}
    try:
        raw = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("PARSE_ERROR", f"the body is no JSON: {error}") from None
    context = raw.get("context", {}) if isinstance(raw, dict) else None
    if not isinstance(context, dict):
        raise BadRequest("INVALID_CONTEXT", 'send `{"context": {"targetingKey": "..."}}`')
    if not isinstance(context.get("targetingKey", ""), str):
        raise BadRequest("INVALID_CONTEXT", "the context's targetingKey must be a text")
    return context


def _evaluated(edition: Edition, key: str, context: Mapping[str, Any]) -> Details:
    return edition.evaluator.evaluate(
        key,
        None,
        kind=Kind.ANY,
        targeting_key=context.get("targetingKey"),
        attributes=context,
    )


def _counted(found: Details) -> str:
    return found.reason.value if found.error is None else found.error.value


def _told(edition: Edition, flag_set: str, key: str, found: Details) -> dict[str, Any]:
    if found.error is not None:
        return {"key": key, "errorCode": found.error.value, "errorDetails": found.message}
    metadata = {"flagSetId": flag_set, "version": edition.version, **found.metadata}
    told = {"key": key, "reason": found.reason.value, "metadata": metadata}
    if found.variant is None:  # the caller's own default; there are providers that need a variant
        return told | {"variant": ""}
    return told | {"value": found.value, "variant": found.variant}
