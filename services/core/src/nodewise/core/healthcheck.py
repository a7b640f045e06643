"""Asks this container's own process whether it works (/readyz): 0 if so, else 1. The images run it as a file.

It imports next to nothing: it is started every few seconds, on machines that are busy.
"""

import os
import socket
import sys

_SECONDS = 8.0
_REQUEST = b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n"


def main() -> int:
    """Ask; say why not."""
    port = int(os.environ.get("NODEWISE_PORT") or os.environ.get("NODEWISE_METRICS_PORT") or 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
            connection.sendall(_REQUEST)
            answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode(errors="replace")
    except OSError as error:
        sys.stdout.write(f"no answer on port {port}: {error}\n")
        return 1
    head, _, body = answer.partition("\r\n\r\n")
    status = head.partition("\r\n")[0]
    sys.stdout.write(f"{status} {body[:400]}\n")
    return 0 if status.split(" ")[1:2] == ["200"] else 1


if __name__ == "__main__":
    sys.exit(main())
