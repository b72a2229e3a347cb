"""Bytes of a body to plain values, with every way that can fail told apart."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from triune.models.serving.faults import bad_request
from triune.models.serving.protocol.values import not_finite

_NOT_A_NUMBER = re.compile(rb"[\[:,\s](NaN|-?Infinity)\b")


def read_json(body: bytes) -> Any:
    """The JSON value in a body.

    Refuses what is not UTF-8 (``body-not-utf8``), not JSON (``body-not-json``), nested too
    deep (``body-too-deep``) or has NaN, infinities or numbers no float can hold
    (``value-not-finite``).
    """
    try:
        body.decode()
        return msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise bad_request("body-not-utf8", "the body is not UTF-8", "Send UTF-8.") from None
    except RecursionError:
        raise bad_request(
            "body-too-deep", "the body is nested too deep", "Send the tensors flat."
        ) from None
    except msgspec.DecodeError as error:
        if "out of range" in str(error) or _NOT_A_NUMBER.search(body):
            raise not_finite() from None
        raise bad_request("body-not-json", str(error), "Send one JSON object.") from None
