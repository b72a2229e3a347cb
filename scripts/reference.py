"""Writes the reference pages that are derived from code: commands, configuration, events.

Run it after changing one of them; a test fails while a page is out of date.
"""

from __future__ import annotations

import importlib
import sys
import types
from enum import EnumType
from itertools import groupby
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

sys.path.insert(0, str(Path(__file__).parent))

import error_catalogue  # beside this file

from triune.cli.table import COMMANDS
from triune.core import config
from triune.core.errors import ExitCode
from triune.ledger.kinds import KINDS

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Written by scripts/reference.py from the code; do not edit by hand. -->\n\n"


def commands() -> str:
    """One section for each command and subcommand, with its arguments and options."""
    parts = [NOTE, "# Commands\n\nEvery read command takes `--json`. Exit codes:\n\n"]
    parts.append("| code | meaning |\n|---|---|\n")
    parts += [f"| {code.value} | {code.name.lower().replace('_', ' ')} |\n" for code in ExitCode]
    for name, (module, _) in COMMANDS.items():
        command = typer.main.get_command(importlib.import_module(module).app)
        parts += _command(f"triune {name}", command)
    return "".join(parts)


def _command(path: str, command: Any, depth: int = 2) -> list[str]:
    words = (command.help or "").strip()
    parts = [f"\n{'#' * depth} `{path}`\n\n{words}\n"]
    rows = [_parameter(p) for p in command.params if p.name not in {"help"}]
    if rows:
        parts += ["\n| parameter | meaning | default |\n|---|---|---|\n", *rows]
    for name, inner in getattr(command, "commands", {}).items():
        parts += _command(f"{path} {name}", inner, depth + 1)
    return parts


def _parameter(parameter: Any) -> str:
    names = parameter.opts if parameter.param_type_name == "option" else [parameter.name.upper()]
    label = ", ".join(f"`{name}`" for name in names)
    default = parameter.default
    shown = "" if default in (None, "", False, ()) or callable(default) else f"`{default}`"
    if parameter.required:
        shown = "required"
    return f"| {label} | {(getattr(parameter, 'help', '') or '').strip()} | {shown} |\n"


TABLES: dict[str, type[BaseModel]] = {
    "[workspace]": config.WorkspaceTable,
    "[datasets.<name>]": config.DatasetTable,
    "[[datasets.<name>.expect]]": config.ExpectTable,
    "[datasets.<name>.expect.columns.<column>]": config.ColumnTable,
    "[features.<name>]": config.FeatureTable,
    "[stages.<name>]": config.StageTable,
    "[trainings.<name>]": config.TrainingTable,
    "[endpoints.<name>]": config.EndpointTable,
    "[[endpoints.<name>.inputs]]": config.InputTable,
    "[endpoints.<name>.online]": config.OnlineTable,
    "[endpoints.<name>.rollout]": config.RolloutTable,
    "[[endpoints.<name>.rollout.metrics]]": config.MetricTable,
    "[feature_store]": config.FeatureStoreTable,
    "[streams.<name>]": config.StreamTable,
    "[streams.<name>.features.<feature>]": config.AggregateTable,
    "[flows.<name>]": config.FlowTable,
    "[backup]": config.BackupTable,
    "[tests.<name>]": config.TestTable,
    "[[tests.<name>.variants]]": config.TestVariantTable,
    "[[tests.<name>.metrics]]": config.TestMetricTable,
    "[tests.<name>.metrics.denominator]": config.FieldTable,
    "[tests.<name>.layer]": config.SliceTable,
    "[[tests.<name>.segments]]": config.SegmentTable,
    "[holdout]": config.HoldoutTable,
    "[services.<name>]": config.ServiceTable,
    "[loop]": config.LoopTable,
}


def configuration() -> str:
    """One table of keys for each table of `triune.toml`."""
    parts = [
        NOTE,
        "# Configuration: `triune.toml`\n\n",
        "Strict: an unknown key is an error. `triune check` reports every mistake at once, each "
        "with file, key, what is wrong and how to mend it.\n",
    ]
    for title, model in TABLES.items():
        words = (model.__doc__ or "").strip().rstrip(".").partition(": ")[2]
        parts.append(f"\n## `{title}`\n\n{words[:1].upper()}{words[1:]}.\n\n")
        parts.append("| key | type | default | meaning |\n|---|---|---|---|\n")
        for key, field in model.model_fields.items():
            parts.append(_setting(key, field))
    known = ", ".join(f"`{name}`" for name in config.SERVICE_NAMES)
    parts.append(f"\nServices: {known}.\n")
    return "".join(parts)


def _setting(key: str, field: Any) -> str:
    default = field.default
    if field.default_factory is not None:
        default = field.default_factory()
    if default is PydanticUndefined:
        shown = "required"
    else:
        shown = f"`{getattr(default, 'value', default)!r}`"
    return f"| `{key}` | {_type(field.annotation)} | {shown} | {field.description or ''} |\n"


def _type(annotation: Any) -> str:
    if isinstance(annotation, EnumType):
        return ", ".join(f"`{member.value}`" for member in annotation)  # type: ignore[var-annotated]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (types.UnionType,) or str(origin) == "typing.Union":
        return " or ".join(_type(a) for a in inner if a is not type(None))
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"table of {_type(inner[1])}"
    if inner and origin is not None and hasattr(annotation, "__metadata__"):
        return _type(inner[0])
    return getattr(annotation, "__name__", str(annotation))


def events() -> str:
    """One row for each kind of event."""
    parts = [NOTE, "# Events\n\nWhat the ledger may hold. The envelope is described in "]
    parts.append("[the ledger's format](ledger.md).\n\n| kind | what happened |\n|---|---|\n")
    parts += [f"| `{kind}` | {words} |\n" for kind, words in KINDS.items()]
    return "".join(parts)


def errors() -> str:
    """One row for each error reference, with its exit code, what happened and the next step."""
    parts = [
        NOTE,
        "# Errors\n\nEvery error has a stable reference, shown as `error[reference]` and, with "
        "`--json`, as an object with `error`, `message`, `context`, `hint` and `exit_code`. What "
        "stands between angle brackets is filled in.\n\n",
        "| reference | exit code | what happened | next step |\n|---|---|---|---|\n",
        "| `config-invalid` | 3 | the configuration has mistakes; all are listed | Mend each of "
        "them, then run `triune check`. |\n",
    ]
    for reference, group in groupby(error_catalogue.find(), key=lambda raised: raised.reference):
        places = list(group)
        what = dict.fromkeys(_cell(place.message) for place in places if place.message)
        hint = next((place.hint for place in places if place.hint), "")
        code = places[0].exit_code
        parts.append(f"| `{reference}` | {code} | {'; or '.join(what)} | {_cell(hint)} |\n")
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


PAGES = {
    "commands.md": commands,
    "configuration.md": configuration,
    "errors.md": errors,
    "events.md": events,
}


def main() -> None:
    """Write every page; with ``--check`` only say which are out of date."""
    stale = []
    for name, page in PAGES.items():
        path = FOLDER / name
        text = page()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text)
    print("out of date: " + ", ".join(stale) if stale else "up to date")  # noqa: T201
    sys.exit(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
