"""Start a program with variables from an owner-only file, so that no argument shows them.

Usage: ``python -I -S with_secrets.py FILE PROGRAM [ARGUMENT ...]``; the file is a JSON object
of strings. This process becomes the program: same pid, nothing in between.
"""

import json
import os
import pathlib
import sys


def main() -> None:
    """Become the program."""
    secrets = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    os.execve(sys.argv[2], sys.argv[2:], {**os.environ, **secrets})  # noqa: S606


if __name__ == "__main__":
    main()
