"""Editions: what is sent to whom."""

from __future__ import annotations

from tests.support.flag_servers import flag, flags_of
from triune.delivery.flags.live.events import Message, Parser
from triune.delivery.flags.server import editions
from triune.delivery.flags.server.editions import Editions
from triune.delivery.flags.snapshot import Snapshot

MANY = [flag(f"f{n}") for n in range(20)]


def published(*sets: Snapshot) -> Editions:
    made = Editions()
    for one in sets:
        now = made.now
        made.publish(editions.first(one) if now is None else editions.following(now, one))
    return made


def steps(number: int) -> list[Snapshot]:
    return [flags_of(*MANY, flag("x", metadata={"n": n})) for n in range(number)]


def sent(made: Editions, version: str | None) -> list[Message]:
    return list(Parser().feed(made.since(version)))


def test_who_knows_nothing_gets_everything() -> None:
    assert sent(Editions(), None) == []
    (only,) = sent(published(*steps(3)), None)
    assert (only.name, only.id) == ("configuration", steps(3)[-1].version)


def test_who_is_behind_gets_the_changes() -> None:
    flags = steps(4)
    found = sent(published(*flags), flags[1].version)
    assert [(one.name, one.id) for one in found] == [
        ("change", flags[2].version),
        ("change", flags[3].version),
    ]
    assert sent(published(*flags), flags[3].version) == []


def test_who_was_never_here_or_is_far_behind_gets_everything() -> None:
    flags = steps(60)
    made = published(*flags)
    assert [one.name for one in sent(made, "0" * 12)] == ["configuration"]
    assert [one.name for one in sent(made, flags[0].version)] == ["configuration"]


def test_there_and_back_again() -> None:
    first, second = flags_of(*MANY), flags_of(*MANY, flag("x"))
    made = published(first, second, first, second)
    assert [one.id for one in sent(made, first.version)] == [second.version]
    assert sent(made, second.version) == []


def test_a_removed_flag_is_told() -> None:
    made = published(flags_of(*MANY, flag("x")), flags_of(*MANY))
    (change,) = sent(made, flags_of(*MANY, flag("x")).version)
    assert change.data == '{"flags": {"x": null}}'
