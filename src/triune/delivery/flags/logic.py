"""JSON Logic with flagd's operations, compiled once into functions.

What values come to (equality, order, truth, conversion) is ``json_logic``'s, the package that
flagd's own Python core evaluates with; what is done once here instead of at each call is walking
the rule: constants are found, paths split, weights summed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from json_logic import builtins

from triune.core.assignment import PAIR, cbor_text
from triune.core.errors import Refused
from triune.delivery.flags import fractional as fractions
from triune.delivery.flags import operators

Rule = Callable[[Any], Any]
_equal = builtins.op_equals
_true = builtins.to_bool
_var = builtins.op_var
_TEXT = {
    "starts_with": operators.starts_with,
    "ends_with": operators.ends_with,
    "sem_ver": operators.sem_ver,
}
_FLOW = frozenset(
    {"if", "?:", "and", "or", "filter", "reduce", "map", "all", "some", "none", "fractional"}
)
KNOWN = frozenset(builtins.BUILTINS) | _TEXT.keys() | _FLOW
"""Every operation there is."""


class UnknownOperation(LookupError):
    """A rule came to an operation that there is not."""


class KeyMissing(LookupError):
    """A rule came to a split by the targeting key, and there is none."""


class Constant:
    """A rule that gives the same whatever it is asked about."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, _: Any) -> Any:
        return self.value


class Compiler:
    """Compiles the rules of one flag. ``flag`` is its key.

    With ``key_needed`` a split by the targeting key raises `KeyMissing` where there is none;
    without, it gives nothing there, as flagd's core does.
    """

    def __init__(self, flag: str, *, key_needed: bool = False) -> None:
        self._flag = flag
        self._key_needed = key_needed
        self.asks_of_flagd = False
        """Whether a rule may look at ``$flagd``, as also ``{"var": ""}`` does."""

    def rule(self, logic: Any, *, top: bool = True) -> Rule:
        """A function of the data. ``top``: the data is the context, not an item of a list."""
        if isinstance(logic, list):
            return _list([self.rule(one, top=top) for one in logic])
        if not isinstance(logic, dict) or len(logic) != 1:
            return Constant(logic)
        ((name, args),) = logic.items()
        words = args if isinstance(args, list) else [args]
        if name in ("filter", "reduce", "map", "all", "some", "none"):
            return self._over_items(name, words, top)
        made = self._operation(name, [self.rule(one, top=top) for one in words], top)
        by_key = name == "fractional" and top and bool(words) and isinstance(words[0], list)
        return _insisting(made) if by_key and self._key_needed else made

    def _operation(self, name: str, rules: list[Rule], top: bool) -> Rule:
        if name in ("missing", "missing_some"):
            self.asks_of_flagd |= top
        if name == "var":
            return self._variable(rules, top)
        if name == "fractional":
            return self._fractional(rules, top)
        if name in _BUILT:
            return _BUILT[name](rules)
        if name in _OF_TWO and len(rules) == 2:
            return _OF_TWO[name](*rules)
        if name in _TEXT:
            return _called(_TEXT[name], rules)
        return _with_data(builtins.BUILTINS.get(name) or _unknown(name), rules)

    def _variable(self, rules: list[Rule], top: bool) -> Rule:
        key = rules[0] if rules else Constant("")
        if not isinstance(key, Constant) or not isinstance(key.value, str) or not key.value:
            self.asks_of_flagd |= top
            return _with_data(_var, rules)
        path = key.value
        self.asks_of_flagd |= top and path.split(".")[0] == "$flagd"
        if len(rules) > 1:
            other = rules[1]
            return lambda data: _var(data, path, other(data))
        if "." in path:
            return lambda data: _var(data, path)

        def name(data: Any) -> Any:
            return data.get(path) if type(data) is dict else _var(data, path)

        return name

    def _fractional(self, rules: list[Rule], top: bool) -> Rule:
        flag = self._flag if top else None
        if rules and all(isinstance(one, Constant) for one in rules):
            parts = [one(None) for one in rules]
            if isinstance(parts[0], list) and flag is not None:
                return _shorthand(flag, parts)
        if len(rules) > 1 and all(isinstance(one, Constant) for one in rules[1:]):
            return _by(rules[0], [one(None) for one in rules[1:]], flag)
        return lambda data: _fractional(data, flag, [one(data) for one in rules])

    def _over_items(self, name: str, words: list[Any], top: bool) -> Rule:
        items = self.rule(words[0], top=top) if words else Constant(None)
        inner = self.rule(words[1], top=False) if len(words) > 1 else None
        if name == "reduce":
            start = words[2] if len(words) > 2 else None  # taken as it stands
            return _reduce(items, inner or Constant(None), start) if words else Constant(None)
        if name == "map":
            return _map(items, inner or Constant(None)) if words else Constant([])
        empty = {"filter": [], "all": False, "some": False, "none": True}[name]
        if inner is None:
            return Constant(empty)
        return _each(name, items, inner, empty)


def _list(rules: list[Rule]) -> Rule:
    if all(isinstance(one, Constant) for one in rules):
        return Constant([one(None) for one in rules])
    return lambda data: [one(data) for one in rules]


def _if(rules: list[Rule]) -> Rule:
    pairs = list(zip(rules[0:-1:2], rules[1::2], strict=False))
    last = rules[-1] if len(rules) % 2 else Constant(None)

    def choose(data: Any) -> Any:
        for condition, then in pairs:
            found = condition(data)
            if found is True or (found is not False and _true(found)):
                return then(data)
        return last(data)

    return choose


def _and(rules: list[Rule]) -> Rule:
    def every(data: Any) -> Any:
        found = None
        for one in rules:
            found = one(data)
            if not _true(found):
                return found
        return found

    return every


def _or(rules: list[Rule]) -> Rule:
    def some(data: Any) -> Any:
        found = None
        for one in rules:
            found = one(data)
            if _true(found):
                return found
        return found

    return some


def _equals(left: Rule, right: Rule) -> Rule:
    if isinstance(left, Constant):
        left, right = right, left  # it is symmetric
    if isinstance(right, Constant) and isinstance(right.value, str):
        wanted = right.value

        def is_text(data: Any) -> bool:
            found = left(data)
            return found == wanted if type(found) is str else _equal(None, found, wanted)

        return is_text
    return lambda data: _equal(None, left(data), right(data))


def _in(needle: Rule, haystack: Rule) -> Rule:
    plain = builtins.op_in
    if isinstance(haystack, Constant) and isinstance(haystack.value, list):
        texts = frozenset(one for one in haystack.value if isinstance(one, str))
        everything = haystack.value

        def among(data: Any) -> bool:
            found = needle(data)
            return found in texts if type(found) is str else found in everything

        return among
    return lambda data: plain(data, needle(data), haystack(data))


def _called(act: Callable[..., Any], rules: list[Rule]) -> Rule:
    if all(isinstance(one, Constant) for one in rules):
        return Constant(act(*(one(None) for one in rules)))
    return lambda data: act(*[one(data) for one in rules])


def _with_data(act: Callable[..., Any], rules: list[Rule]) -> Rule:
    if len(rules) == 2:
        first, second = rules
        return lambda data: act(data, first(data), second(data))
    return lambda data: act(data, *[one(data) for one in rules])


def _unknown(name: str) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise UnknownOperation(f"unknown operation {name!r}")

    return fail


def _log(rules: list[Rule]) -> Rule:
    """Its argument; nothing is printed."""
    return _with_data(lambda _data, value=None, *_: value, rules)


_BUILT: dict[str, Callable[[list[Rule]], Rule]] = {
    "if": _if,
    "?:": _if,
    "and": _and,
    "or": _or,
    "log": _log,
}
_OF_TWO: dict[str, Callable[[Rule, Rule], Rule]] = {"==": _equals, "in": _in}


def _insisting(split: Rule) -> Rule:
    """A split by the targeting key that gives nothing for want of one says so."""

    def insist(data: Any) -> Any:
        found = split(data)
        if found is None and not data.get("targetingKey"):
            raise KeyMissing
        return found

    return insist


def _shorthand(flag: str, parts: list[Any]) -> Rule:
    """By the flag and the targeting key: the bucket function of everything in Triune."""
    ends, prefix = fractions.ends_of(parts), PAIR + cbor_text(flag)
    chosen = fractions.chosen

    def by_key(data: Any) -> Any:
        unit = data.get("targetingKey")
        if ends is None or not unit or not isinstance(unit, str):
            return None
        try:
            return chosen(ends, prefix + cbor_text(unit))
        except Refused:
            return None

    return by_key


def _by(key: Rule, parts: list[Any], flag: str | None) -> Rule:
    ends = fractions.ends_of(parts)

    def by_value(data: Any) -> Any:
        value = key(data)
        if isinstance(value, list | tuple):
            return _fractional(data, flag, [value, *parts])
        return _of(ends, value)

    return by_value


def _of(ends: fractions.Ends | None, value: object) -> Any:
    raw = None if value is None or ends is None else fractions.identity(value)
    return None if raw is None or ends is None else fractions.chosen(ends, raw)


def _fractional(data: Any, flag: str | None, args: list[Any]) -> Any:
    """The operation on values; ``flag`` is None where the data is no context."""
    if not args:
        return None
    if not isinstance(args[0], list | tuple):
        return _of(fractions.ends_of(args[1:]), args[0])
    unit = data.get("targetingKey")
    if not isinstance(unit, str) or not unit:
        return None
    salt = data.get("$flagd", {}).get("flagKey", "") if flag is None else flag
    return _of(fractions.ends_of(args), [salt, unit])


def _map(items: Rule, inner: Rule) -> Rule:
    def mapped(data: Any) -> Any:
        found = items(data)
        return [inner(one) for one in found] if isinstance(found, list) else []

    return mapped


def _reduce(items: Rule, inner: Rule, start: Any) -> Rule:
    def reduced(data: Any) -> Any:
        found = items(data)
        if not isinstance(found, list):
            return start
        context = {"accumulator": start}
        for one in found:
            context["current"] = one
            context["accumulator"] = inner(context)
        return context["accumulator"]

    return reduced


def _each(name: str, items: Rule, inner: Rule, empty: Any) -> Rule:
    def over(data: Any) -> Any:
        found = items(data)
        if not isinstance(found, list):
            return empty
        match name:
            case "filter":
                return [one for one in found if _true(inner(one))]
            case "all":
                return bool(found) and all(_true(inner(one)) for one in found)
            case "some":
                return any(_true(inner(one)) for one in found)
        return not any(_true(inner(one)) for one in found)

    return over
