"""Evaluating flags: never raises, and costs what its rule costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from triune.delivery.flags.logic import Compiler, KeyMissing, UnknownOperation
from triune.delivery.flags.model import Code, Details, Flag, Kind, Metadata, Reason, variant_name

_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.BOOLEAN: (bool,),
    Kind.STRING: (str,),
    Kind.INTEGER: (int,),
    Kind.FLOAT: (int, float),
    Kind.OBJECT: (dict, list),
    Kind.ANY: (object,),
}
Resolve = Callable[[Any, str | None, Mapping[str, Any]], Details]
"""From the caller's default, the targeting key and the attributes."""


def compiled(flag: Flag, metadata: Metadata, *, key_needed: bool = False) -> Resolve:
    """A flag made ready; see `Compiler` for ``key_needed``."""
    if not flag.enabled:
        return lambda default, _key, _attributes: Details(default, None, Reason.DISABLED, metadata)
    fixed = _settled(flag, Reason.STATIC, metadata)
    if not flag.targeting:
        return lambda default, _key, _attributes: fixed or _of_caller(default, metadata)
    if not isinstance(flag.targeting, dict):
        message = "its targeting is no rule"
        return lambda default, _key, _attributes: _failed(
            default, Code.PARSE_ERROR, message, metadata
        )
    return _targeted(flag, metadata, Compiler(flag.key, key_needed=key_needed))


def _targeted(flag: Flag, metadata: Metadata, compiler: Compiler) -> Resolve:
    rule = compiler.rule(flag.targeting)
    untargeted = _settled(flag, Reason.DEFAULT, metadata)
    ready = {
        name: Details(value, name, Reason.TARGETING_MATCH, metadata)
        for name, value in flag.variants.items()
        if value is not None
    }

    def resolve(default: Any, key: str | None, attributes: Mapping[str, Any]) -> Details:
        data = {**attributes, "targetingKey": key}
        if compiler.asks_of_flagd:
            data["$flagd"] = {"flagKey": flag.key, "timestamp": int(time.time())}
        variant = rule(data)
        if variant is None:
            return untargeted or _of_caller(default, metadata)
        found = ready.get(variant_name(variant))
        if found is None:
            message = f"variant {variant_name(variant)!r} is none of the flag's"
            return _failed(default, Code.GENERAL, message, metadata)
        return found

    return resolve


def _settled(flag: Flag, reason: Reason, metadata: Metadata) -> Details | None:
    """What the default variant gives; None: what the caller says."""
    if flag.default is None:
        return None
    if flag.default not in flag.variants:
        message = f"default variant {flag.default!r} is none of the flag's"
        return Details(None, flag.default, Reason.ERROR, metadata, Code.GENERAL, message)
    return Details(flag.variants[flag.default], flag.default, reason, metadata)


def _of_caller(default: Any, metadata: Metadata) -> Details:
    return Details(default, None, Reason.DEFAULT, metadata)


def _failed(default: Any, code: Code, message: str, metadata: Metadata) -> Details:
    return Details(default, None, Reason.ERROR, metadata, code, message)


class Evaluator:
    """A set of flags made ready. Immutable: a change is another evaluator.

    With ``key_needed`` a split by the targeting key is an error (``TARGETING_KEY_MISSING``) where
    the context has none; without, it gives the default variant, as flagd's core does. ``absent`` is
    the error for flags that are not there.
    """

    def __init__(
        self,
        flags: Iterable[Flag],
        metadata: Metadata | None = None,
        *,
        key_needed: bool = False,
        absent: Code = Code.FLAG_NOT_FOUND,
    ) -> None:
        self.metadata: Metadata = dict(metadata or {})
        self._key_needed = key_needed
        self._absent = absent
        self._flags: dict[str, Resolve] = {flag.key: self._ready(flag) for flag in flags}

    def _ready(self, flag: Flag) -> Resolve:
        metadata = {**self.metadata, **flag.metadata}
        try:
            return compiled(flag, metadata, key_needed=self._key_needed)
        except Exception as error:  # a rule of a shape that nobody thought of
            message = f"its rule cannot be used: {type(error).__name__}: {error}"
            return lambda default, _key, _attributes: _failed(
                default, Code.PARSE_ERROR, message, metadata
            )

    def changed(self, flags: Mapping[str, Flag | None]) -> Evaluator:
        """Another evaluator, with these flags replaced or, where None, gone; only they are made
        ready anew."""
        made = Evaluator((), self.metadata, key_needed=self._key_needed)
        made._flags = dict(self._flags)
        for key, flag in flags.items():
            if flag is None:
                made._flags.pop(key, None)
            else:
                made._flags[key] = made._ready(flag)
        return made

    @property
    def keys(self) -> tuple[str, ...]:
        """The flags there are."""
        return tuple(self._flags)

    def evaluate(
        self,
        key: str,
        default: Any,
        *,
        kind: Kind,
        targeting_key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Details:
        """A flag's value for a context. Never raises.

        Parameters
        ----------
        key: the flag
        default: what it gives when the flag does not say, is disabled, absent or broken
        kind: the type that the caller takes; another one is an error
        targeting_key: whom it is evaluated for
        attributes: what else rules may look at, by name
        """
        resolve = self._flags.get(key)
        if resolve is None:
            return _failed(default, self._absent, f"there is no flag {key!r}", {})
        try:
            found = resolve(default, targeting_key, attributes or {})
        except UnknownOperation as error:
            return _failed(default, Code.PARSE_ERROR, str(error), {})
        except KeyMissing:
            message = "its rule splits by the targeting key, and the context has none"
            return _failed(default, Code.TARGETING_KEY_MISSING, message, {})
        except Exception as error:  # whatever a rule makes of whatever a context holds
            return _failed(default, Code.GENERAL, f"{type(error).__name__}: {error}", {})
        return found if found.variant is None else _typed(found, default, kind)


def _typed(found: Details, default: Any, kind: Kind) -> Details:
    """The details, if the value is of the kind asked for."""
    if found.error is not None:
        return found._replace(value=default, variant=None)
    value = found.value
    right = isinstance(value, _TYPES[kind])
    if isinstance(value, bool):  # which Python takes for a number
        right = kind in (Kind.BOOLEAN, Kind.ANY)
    if right:
        if kind is Kind.FLOAT and isinstance(value, int):
            return found._replace(value=float(value))
        return found
    message = f"its value is of type {type(value).__name__}, not {kind.value}"
    return _failed(default, Code.TYPE_MISMATCH, message, found.metadata)
