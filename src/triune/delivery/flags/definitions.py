"""flagd's JSON format read into flags: all mistakes at once, with the place of each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from triune.core.errors import ConfigError, Problem
from triune.core.mistakes import closest
from triune.delivery.flags import answers
from triune.delivery.flags.logic import KNOWN
from triune.delivery.flags.mistakes import mistakes
from triune.delivery.flags.model import Flag, Metadata
from triune.delivery.flags.references import References, Unresolved

_STATES = ("ENABLED", "DISABLED")
_KEYS = {"state", "variants", "defaultVariant", "targeting", "metadata", "source", "selector"}
_TYPES: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "boolean"),
    ((int, float), "number"),
    ((str,), "text"),
    ((dict, list), "object"),
)


@dataclass(frozen=True, slots=True)
class Definitions:
    """A set of flags, as one file of flagd's has them."""

    flags: Mapping[str, Flag] = field(default_factory=dict)
    metadata: Metadata = field(default_factory=dict)


def read(document: Any, *, source: str = "flags.json", strict: bool = True) -> Definitions:
    """The flags of a parsed document. ``$ref`` is replaced by the evaluator that it names, also
    inside of evaluators. Without ``strict`` it is only not looked at what the rules say.

    Raises
    ------
    ConfigError: every mistake that flagd would stumble over, or answer wrongly because of.
    """
    reader = _Reader(source)
    found = reader.definitions(document)
    if strict:
        for flag in found.flags.values():
            reader.look_at(flag)
    if reader.problems:
        raise ConfigError(reader.problems)
    return found


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self.problems: list[Problem] = []

    def _say(self, place: str, what: str, mend: str) -> None:
        self.problems.append(Problem(self._source, place, what, mend))

    def definitions(self, document: Any) -> Definitions:
        flags = document.get("flags") if isinstance(document, dict) else None
        if not isinstance(flags, dict):
            self._say("flags", "must be an object", 'Write `{"flags": {"<key>": {...}}}`.')
            return Definitions()
        evaluators = self._object(document, "$evaluators", "$evaluators")
        metadata = self._metadata(document, "metadata")
        found = {}
        for key, raw in flags.items():
            flag = self._flag(key, raw, evaluators)
            if flag is not None:
                found[key] = flag
        return Definitions(found, metadata)

    def _object(self, holder: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
        value = holder.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._say(place, "must be an object", "Write `{...}`.")
            return {}
        return value

    def _metadata(self, holder: Mapping[str, Any], place: str) -> dict[str, Any]:
        found = self._object(holder, "metadata", place)
        for name, value in found.items():
            if not name or not isinstance(value, str | int | float):
                self._say(f"{place}.{name}", "is no text, number or boolean", "Metadata is flat.")
        return found

    def _flag(self, key: str, raw: Any, evaluators: Mapping[str, Any]) -> Flag | None:
        place, before = f"flags.{key}", len(self.problems)
        if not isinstance(raw, dict):
            self._say(place, "must be an object", 'It has "state", "variants", "defaultVariant".')
            return None
        for name in raw.keys() - _KEYS:
            self._say(f"{place}.{name}", "is no part of a flag", closest(name, sorted(_KEYS)))
        if raw.get("state") not in _STATES:
            self._say(f"{place}.state", f"is {raw.get('state')!r}", f"One of {', '.join(_STATES)}.")
        variants = raw.get("variants")
        if not isinstance(variants, dict) or not variants:
            self._say(f"{place}.variants", "must be an object with a variant", "Name each value.")
        default = raw.get("defaultVariant")
        if isinstance(default, bool):
            default = str(default).lower()
        if default is not None and not isinstance(default, str):
            self._say(f"{place}.defaultVariant", "must be a variant's name", "Write it in quotes.")
        metadata = self._metadata(raw, f"{place}.metadata")
        targeting = self._rule_of(raw.get("targeting"), evaluators, f"{place}.targeting")
        if len(self.problems) > before or not isinstance(variants, dict):
            return None
        return Flag(
            key, raw["state"] == "ENABLED", variants, default or None, targeting or None, metadata
        )

    def _rule_of(self, logic: Any, evaluators: Mapping[str, Any], place: str) -> Any:
        if logic is not None and not isinstance(logic, dict):
            self._say(place, "must be an object", 'Write a rule: `{"if": [...]}`.')
            return None
        references = References(evaluators)
        try:
            return references.written_out(logic)
        except Unresolved as error:
            self._say(place, error.what, error.mend)
            return None

    def look_at(self, flag: Flag) -> None:
        """What flagd's format allows and nobody means."""
        place = f"flags.{flag.key}"
        if flag.default is not None and flag.default not in flag.variants:
            mend = closest(flag.default, list(flag.variants))
            self._say(f"{place}.defaultVariant", f"there is no variant {flag.default!r}", mend)
        kinds = {_kind(value) for value in flag.variants.values()}
        if len(kinds) > 1:
            what = f"are of several types: {', '.join(sorted(kinds))}"
            self._say(f"{place}.variants", what, "A caller asks for one type.")
        if flag.targeting is not None:
            before = len(self.problems)
            self._rule(flag.targeting, f"{place}.targeting")
            if len(self.problems) == before:
                self._answers(flag, f"{place}.targeting")

    def _answers(self, flag: Flag, place: str) -> None:
        for name in sorted(answers.of_rule(flag.targeting).names - {None, *flag.variants}, key=str):
            mend = closest(str(name), list(flag.variants))
            self._say(place, f"answers {name!r}, which is no variant", mend)

    def _rule(self, logic: Any, place: str) -> None:
        if isinstance(logic, list):
            for number, one in enumerate(logic):
                self._rule(one, f"{place}[{number}]")
        if not isinstance(logic, dict):
            return
        if len(logic) != 1:
            self._say(place, "has several operations side by side", "A rule has one operation.")
        for name, args in logic.items():
            if name not in KNOWN:
                self._say(place, f"unknown operation {name!r}", closest(name, sorted(KNOWN)))
            words = args if isinstance(args, list) else [args]
            for what, mend in mistakes(name, words):
                self._say(f"{place}.{name}", what, mend)
            self._rule(args, f"{place}.{name}")


def _kind(value: Any) -> str:
    return next((name for types, name in _TYPES if isinstance(value, types)), "null")
