"""Runs in .venv-peers: a flow that notes when it runs, and with `serve` the runner of its deployment."""

import sys
import time
from pathlib import Path

from prefect import flow


@flow(log_prints=False)
def note(file: str) -> None:
    """The first thing that its process does for us."""
    at = time.time()
    part = Path(f"{file}.part")
    part.write_text(str(at))
    part.rename(file)


if __name__ == "__main__" and sys.argv[1:] == ["serve"]:
    note.serve(name="bench")
