"""``python -m triune.models.serving spec.json``: serve what the spec says, in the foreground."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from triune.core.errors import ExitCode, TriuneError
from triune.models.serving import spec as specs


def main(arguments: list[str]) -> int:
    """Serve; returns the exit code. A refusal is one typed line in the log."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    log = logging.getLogger("triune.serving")
    if len(arguments) != 1:
        log.error("usage: python -m triune.models.serving <spec.json>")
        return int(ExitCode.USAGE)
    try:
        from triune.models.registry.signing import verify
        from triune.models.serving.supervision import serve

        return serve(specs.load(Path(arguments[0])), verify)
    except TriuneError as error:
        log.error("error[%s]: %s (%s)", error.reference, error.message, error.context)  # noqa: TRY400
        return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
