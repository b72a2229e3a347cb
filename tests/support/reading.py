"""A process that reads in every way a training may, watched: run as a program by the tests.

``python -P -m tests.support.reading CHANNEL HOW FOLDER`` reads below the folder and prints nothing.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from triune.core.reads import watched


def _python(folder: Path) -> None:
    (folder / "wanted.csv").read_bytes()


def _many(folder: Path) -> None:
    for _ in range(3):
        for path in sorted(folder.iterdir()):
            path.read_bytes()


def _arrow(folder: Path) -> None:
    import pyarrow.csv

    pyarrow.csv.read_csv(folder / "wanted.csv")


def _duckdb(folder: Path) -> None:
    import duckdb

    duckdb.sql(f"select * from '{folder / 'wanted.csv'}'").fetchall()


def _child(folder: Path) -> None:
    subprocess.run(["cat", "wanted.csv"], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _shell(folder: Path) -> None:
    subprocess.run(f"cd {folder} && wc -l < wanted.csv > counted", shell=True, check=True)


def _thread(folder: Path) -> None:
    thread = threading.Thread(target=_python, args=(folder,))
    thread.start()
    thread.join()


def _forked(folder: Path) -> None:
    if os.fork() == 0:
        _python(folder)
        os._exit(0)
    os.wait()


def _folder(folder: Path) -> None:
    place = os.open(folder, os.O_DIRECTORY)
    os.close(os.open("wanted.csv", os.O_RDONLY, dir_fd=place))


def _link(folder: Path) -> None:
    (folder / "link").symlink_to("wanted.csv")
    (folder / "link").read_bytes()


def _hard_link(folder: Path) -> None:
    (folder / "other").hardlink_to(folder / "wanted.csv")
    (folder / "other").read_bytes()


def _sqlite(folder: Path) -> None:
    import sqlite3

    sqlite3.connect(folder / "wanted.csv").close()


def _program(folder: Path) -> None:
    (folder / "wanted.csv").chmod(0o700)
    subprocess.run(["sh", "-c", f"{folder / 'wanted.csv'} || true"], check=True,
                   stderr=subprocess.DEVNULL)  # fmt: skip


def _own(folder: Path) -> None:
    (folder / "made").write_text("x")
    (folder / "made").rename(folder / "moved")
    (folder / "moved").read_bytes()
    (folder / "inner").mkdir()
    (folder / "inner" / "one").write_text("x")
    (folder / "inner").rename(folder / "outer")
    subprocess.run(["cat", folder / "outer" / "one"], check=True, stdout=subprocess.DEVNULL)
    (folder / "wanted.csv").write_text("emptied and written again")
    (folder / "wanted.csv").read_bytes()


def _absent(folder: Path) -> None:
    for name in ("absent", ".", "wanted.csv/below"):
        try:
            (folder / name).read_bytes()
        except OSError:
            continue


def _own_server(folder: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(server.getsockname()).close()
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(folder / "s"))
    local.listen()
    socket.socket(socket.AF_UNIX).connect(str(folder / "s"))


def _other_server(folder: Path) -> None:
    host, _, port = (folder / "wanted.csv").read_text().rpartition(":")
    socket.create_connection((host, int(port))).close()


def main() -> None:
    channel, how, folder = sys.argv[1:]
    if os.environ.get("TRIUNE_TEST_NO_KERNEL"):
        watched.here = lambda: None  # as on a machine whose kernel hands out no listener
    watching = watched.Watched.begin(socket.socket(fileno=int(channel)))
    globals()[f"_{how}"](Path(folder))
    watching.end()


if __name__ == "__main__":
    main()
