"""`nodewise up --detach`: a supervisor of its own, which tells us through a pipe how it goes."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from nodewise.stack import home as homes
from nodewise.stack.lock import AlreadyRunning, running_supervisor
from nodewise.stack.plan import Options
from nodewise.stack.process import tail
from nodewise.stack.report import Reporter
from nodewise.stack.state import StackState


def up_detached(home: Path, options: Options, report: Reporter) -> int:
    """Start the supervisor in the background and wait until it is ready or failed; returns the exit code.

    Raises:
        StackError: The folder cannot be used, or a supervisor serves it already.
    """
    homes.prepare(home)
    if (pid := running_supervisor(home)) is not None:
        raise AlreadyRunning(home, pid)
    reader, writer = os.pipe()
    process = _spawn(home, options, writer)
    os.close(writer)
    with os.fdopen(reader) as messages:
        for message in messages:
            kind, text = json.loads(message)
            if kind == "ready":
                report.ready(StackState.from_json(json.loads(text)))
                return 0
            if kind == "failed":
                process.wait()
                report.failed(text)
                return 1
            report.line(text)
    process.wait()
    report.failed(f"the supervisor ended without a word: {tail(_log(home), 3)}; read {_log(home)}")
    return 1


def _log(home: Path) -> Path:
    # Not `.log`: the supervisor rotates those, this one among them, when it is already writing.
    return home / "logs" / "supervisor.out"


def _spawn(home: Path, options: Options, pipe: int) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable, "-P", "-m", "nodewise.stack",
        str(home), json.dumps(asdict(options)), str(pipe),
    ]  # fmt: skip
    with _log(home).open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(pipe,),
        )
