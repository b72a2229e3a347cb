"""`triune check`: is the workspace sound? Nothing of the workspace's own code is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triune.core.config import Config
from triune.core.errors import ConfigError, Problem
from triune.core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Sound:
    """What a sound workspace declares."""

    workspace: str
    profile: str
    datasets: int
    features: int
    trainings: int
    endpoints: int
    entry_points: int


def check(workspace: Workspace) -> Sound:
    """Validate `triune.toml` and that every entry point it names exists in the code.

    Raises
    ------
    ConfigError: with every problem found.
    """
    config = workspace.config
    code = workspace.root / config.workspace.code
    problems: list[Problem] = []
    named = list(entry_points(config))
    for key, entry_point in named:
        if reason := _missing(entry_point, code):
            problems.append(Problem(str(workspace.root / "triune.toml"), key, *reason))
    problems += _of_tests(config)
    if problems:
        raise ConfigError(problems)
    return Sound(
        workspace=config.workspace.name,
        profile=config.workspace.profile.value,
        datasets=len(config.datasets),
        features=len(config.features),
        trainings=len(config.trainings),
        endpoints=len(config.endpoints),
        entry_points=len(named),
    )


def _of_tests(config: Config) -> Iterator[Problem]:
    """What is wrong with the A/B tests' declarations."""
    if not config.tests:
        return
    from triune.delivery.abtest.declaring import of_table
    from triune.delivery.abtest.mistakes import mistakes

    for name, table in config.tests.items():
        yield from mistakes(of_table(name, table, config.holdout))


def entry_points(config: Config) -> Iterator[tuple[str, str]]:
    """Every entry point of a configuration, with the key that names it."""
    for name, dataset in config.datasets.items():
        if dataset.build:
            yield f"datasets.{name}.build", dataset.build
    for name, feature in config.features.items():
        yield f"features.{name}.function", feature.function
    for name, training in config.trainings.items():
        yield f"trainings.{name}.function", training.function
    for name, endpoint in config.endpoints.items():
        for smoke in endpoint.smoke:
            yield f"endpoints.{name}.smoke", smoke
        if endpoint.traffic:
            yield f"endpoints.{name}.traffic", endpoint.traffic


def _missing(entry_point: str, code: Path) -> tuple[str, str] | None:
    module, _, function = entry_point.partition(":")
    relative = Path(*module.split("."))
    for file in (code / relative.with_suffix(".py"), code / relative / "__init__.py"):
        if file.is_file():
            break
    else:
        return f"there is no module {module!r} in {code.name}/", f"Write {relative}.py there."
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        return f"{file.name} does not parse: {error}", "Mend the syntax."
    if function not in _top_level_names(tree):
        return f"{module} has no function {function!r}", f"Write `def {function}(...)` there."
    return None


def _top_level_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            names.update(t.id for t in node.targets if isinstance(t, ast.Name))
    return names
