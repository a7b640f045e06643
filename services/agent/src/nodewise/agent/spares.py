"""Runners that have started already and wait for their task: a short task does not wait for Python and KFP to load.

Each runs one task, as one that was started for it would. Idle, it is a Python with KFP's executor loaded, which reads
its standard input; it ends with the agent, whose end closes that. The `nursery` forks them where it can, else each is started anew.
"""

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from nodewise.agent import orphans
from nodewise.agent.nursery import Born, Nursery
from nodewise.agent.processes import MARK, end_tree, marked_below
from nodewise.agent.staging import inherited

_END_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.05
"""Between taking one and getting another ready, which takes some time of a core: the task's, as likely as not."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Spare:
    """A runner that waits. `mark` tells it from all others, and what it forks; what it starts anew has its task's."""

    popen: "subprocess.Popen[bytes] | Born"
    mark: str

    def give(self, task: Path, *, env: Mapping[str, str], cwd: Path, log: Path) -> bool:
        """Let it run the task whose order is at that path; False: it is gone, and did nothing."""
        order = {"task": str(task), "env": dict(env), "cwd": str(cwd), "log": str(log)}
        pipe = self.popen.stdin
        if pipe is None or self.popen.poll() is not None:
            return False
        try:
            # Whole or not at all: the runner begins when the pipe is closed, and does not end before.
            pipe.write(json.dumps(order).encode())
            pipe.close()
        except OSError:
            return False
        return True

    def end(self) -> None:
        """It is not needed any more."""
        if self.popen.poll() is None:
            end_tree(self.popen.pid)
        if self.popen.stdin is not None:
            with suppress(OSError):
                self.popen.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(_END_SECONDS)
            orphans.gone(self.popen.pid)


class Spares:
    """Keeps `count` of them ready. Thread-safe."""

    def __init__(self, work_dir: Path, *, count: int) -> None:
        self._folder = work_dir / "spares"
        self._count = count
        self._lock = threading.Lock()
        self._ready: list[Spare] = []
        self._nursery = Nursery(self._folder)
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        # Linux ends a child that asked for it with the thread that started it, so this one lives as long as we do.
        self._thread = threading.Thread(target=self._run, name="spares", daemon=True)

    def start(self) -> None:
        """End what an earlier life left, and get the first ready."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for process in marked_below(self._folder):
            end_tree(process.pid)
        if self._count:
            self._thread.start()

    def stop(self) -> None:
        """End those that wait."""
        with self._lock:
            self._stopped.set()
            left, self._ready = self._ready, []
        self._wanted.set()
        for spare in left:
            spare.end()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def take(self) -> Spare | None:
        """One that waits, if there is one; another takes its place."""
        with self._lock:
            spare = self._ready.pop() if self._ready else None
        self._wanted.set()
        return spare

    def _run(self) -> None:
        self._try_to_fill()
        while self._wanted.wait() and not self._stopped.wait(_PAUSE_SECONDS):
            self._wanted.clear()
            self._try_to_fill()
        self._nursery.stop()

    def _try_to_fill(self) -> None:
        try:
            self._fill()
        except OSError as error:
            _log.warning("no runner could be started in advance", error=str(error))
        except Exception:
            # This thread must go on: those that it started end with it.
            _log.exception("no runner could be started in advance")

    def _fill(self) -> None:
        while True:
            with self._lock:
                if self._stopped.is_set() or len(self._ready) >= self._count:
                    return
            spare = self._started()
            with self._lock:
                if not self._stopped.is_set():
                    self._ready.insert(0, spare)
                    continue
            spare.end()

    def _started(self) -> Spare:
        mark = str(self._folder / uuid.uuid4().hex)
        if orphans.adopting():
            return Spare(popen=self._nursery.bear(), mark=mark)
        popen = orphans.born(
            lambda: subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "nodewise.agent.runner", "--wait", str(os.getpid())],
                env={**inherited(os.environ), MARK: mark}, cwd=self._folder, stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )
        )  # fmt: skip
        return Spare(popen=popen, mark=mark)
