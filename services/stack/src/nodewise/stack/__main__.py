"""The detached supervisor: `python -m nodewise.stack HOME OPTIONS PIPE` (see `detach.py`; not for people)."""

import json
import os
import sys
from pathlib import Path

from rich.console import Console

from nodewise.stack.launch import up
from nodewise.stack.plan import Options
from nodewise.stack.report import PipeReporter


def main() -> int:
    home, options, pipe = sys.argv[1:]
    # Our children must not hold it open: its end says that we are gone.
    os.set_inheritable(int(pipe), False)
    report = PipeReporter(int(pipe), Console())
    return up(Path(home), Options(**json.loads(options)), report)


if __name__ == "__main__":
    sys.exit(main())
