"""The entry point of ``triune``: the lazy command group and the one error handler."""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn

import typer
from typer._click.core import Command, Context  # Typer vendors click
from typer._click.exceptions import ClickException
from typer._click.formatting import HelpFormatter
from typer.core import TyperCommand, TyperGroup

from triune.cli import crash
from triune.cli.chosen import chosen
from triune.cli.table import COMMANDS
from triune.core.errors import ExitCode, TriuneError


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, help_text = COMMANDS[cmd_name]
        if ctx.meta.get("triune.help_only"):
            return TyperCommand(cmd_name, help=help_text)
        app = importlib.import_module(module).app
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        ctx.meta["triune.help_only"] = True
        super().format_help(ctx, formatter)


app = typer.Typer(
    cls=LazyGroup,
    name="triune",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from triune import __version__

        typer.echo(f"triune {__version__}")
        raise typer.Exit


@app.callback()
def root(
    workspace: str = typer.Option(
        "",
        "--workspace",
        "-w",
        envvar="TRIUNE_WORKSPACE",
        help="Folder of the workspace (default: the current one).",
    ),
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Triune: data, training, release, delivery and the ledger that joins them."""
    chosen.set(workspace)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error becomes text (or JSON) and an exit code."""
    args = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in args
    try:
        code = typer.main.get_command(app).main(args, prog_name="triune", standalone_mode=False)
    except TriuneError as error:
        _end(error, as_json=as_json)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(int(ExitCode.INTERRUPTED))
    except ClickException as error:
        if as_json:
            context = getattr(error, "ctx", None)
            path = context.command_path if context else "triune"
            _end(crash.usage(error.format_message(), path), as_json=True)
        error.show()
        sys.exit(int(error.exit_code))
    except Exception as error:
        _end(crash.internal(error), as_json=as_json)
    sys.exit(_exit_code(code))


def _end(error: TriuneError, *, as_json: bool) -> NoReturn:
    from triune.cli.output import show_error

    show_error(error, as_json=as_json)
    sys.exit(int(error.exit_code))


def _exit_code(result: Any) -> int:
    return result if isinstance(result, int) else int(ExitCode.OK)


if __name__ == "__main__":
    main()
