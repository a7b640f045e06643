"""Stands in for `python -P -m nodewise.<service>`: every service becomes a small HTTP server that says that all is well.

What goes wrong on purpose is in the folder NODEWISE_HOME/faults: a file `<module>` (such as `nodewise.scheduler`)
makes that one print the file's text and end with exit code 3.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        nodes = [{"name": f"n{number}", "state": "READY", "observation": {}} for number in range(1, 9)]
        body = json.dumps({"items": nodes}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    module = sys.argv[sys.argv.index("-m") + 1]
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    fault = Path(os.environ["NODEWISE_HOME"]) / "faults" / module
    if fault.is_file():
        print(fault.read_text(), flush=True)
        sys.exit(3)
    port = os.environ.get("NODEWISE_PORT") or os.environ.get("NODEWISE_METRICS_PORT")
    if port:
        HTTPServer((os.environ["NODEWISE_HOST"], int(port)), Handler).serve_forever()


main()
