"""Exit 0 when Valkey answers PING: ``python -I -S valkey_ping.py HOST PORT PASSWORD_FILE``."""

import pathlib
import socket
import sys

_EXPECTED = b"+OK\r\n+PONG\r\n"


def main() -> int:
    """Authenticate, ping, compare."""
    password = pathlib.Path(sys.argv[3]).read_text(encoding="utf-8").strip()
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2) as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        answer = b""
        while len(answer) < len(_EXPECTED) and (part := connection.recv(256)):
            answer += part
    return 0 if answer == _EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
