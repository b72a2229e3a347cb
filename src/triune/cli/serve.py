"""``triune serve``: one model in the foreground."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from triune.cli.output import here

if TYPE_CHECKING:
    from triune.models.serving.spec import ModelFile

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    model: str = typer.Argument(..., help="A model version (delay@2) or a signed model folder."),
    port: int = typer.Option(0, "--port", help="Where to listen (default: a free port)."),
    workers: int = typer.Option(1, "--workers", min=1, max=64, help="Worker processes."),
    public_key: str = typer.Option(
        "", "--public-key", help="Key of a folder's signature (default: the workspace's)."
    ),
) -> None:
    """Serve one model in the foreground, without a gateway."""
    from triune.models.registry.signing import verify
    from triune.models.serving.standalone import standalone
    from triune.models.serving.supervision import serve as run

    spec = standalone(_model(model, public_key), port=port, workers=workers)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    url = f"http://{spec.host}:{spec.port}/v2/models/{spec.model_name}"
    typer.echo(f"{spec.model.ref} at {url} (POST {url}/infer); stop with Ctrl-C", err=True)
    raise typer.Exit(run(spec, verify))


def _model(name: str, public_key: str) -> ModelFile:
    from triune.models.serving.spec import ModelFile
    from triune.models.serving.standalone import folder_model

    if Path(name).is_dir() or "/" in name:
        key = Path(public_key) if public_key else here().keys / "signing.pub"
        return folder_model(Path(name), key)
    from triune.app.context import Context

    context = Context(here())
    try:
        registry = context.registry
        version = registry.get(name)
        return ModelFile(
            ref=version.ref,
            path=version.folder,
            digest=version.digest,
            public_key=registry.public_key,
        )
    finally:
        context.close()
