"""Asks this container's own process whether it works: `python -m nodewise.core.healthcheck`; 0 if so, else 1.

Imports nothing of ours and little else: it runs every few seconds.
"""

import http.client
import os
import sys

_SECONDS = 4.0


def main() -> int:
    """Ask; say why not."""
    port = int(os.environ.get("NODEWISE_PORT") or os.environ.get("NODEWISE_METRICS_PORT") or 0)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(400).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"no answer on port {port}: {error}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"{body}\n")
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
