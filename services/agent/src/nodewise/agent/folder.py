"""An attempt's folder: what the runner finds there, and where it leaves what it made.

<folder>/task.json  component.py  log.txt        the runner's order, the user's module, stdout and stderr
<folder>/inputs/<name>   outputs/<name>          artifacts
<folder>/parameters/<name>                       parameters that the task writes to a path
<folder>/work   tmp ->                           the process's current folder; its temporary one is elsewhere
<folder>/environment                             a container's variables, while it runs
<folder>/executor_output.json  error.txt  peak.txt   what the executor, an exception, and the end left
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from nodewise.core.store.addresses import safe_segment

_BULKY: Final = ("inputs", "outputs", "parameters", "work", "dataset")


class AttemptFolder:
    """The paths of one attempt."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.task = root / "task.json"
        self.source = root / "component.py"
        self.log = root / "log.txt"
        self.executor_output = root / "executor_output.json"
        self.error = root / "error.txt"
        self.peak = root / "peak.txt"
        self.work = root / "work"
        self.temporary = root / "tmp"
        self.dataset = root / "dataset" / "data"

    def input(self, name: str, index: int = 0) -> Path:
        """Of a list, the artifact at that index; the first one's name says nothing of a list."""
        return self.root / "inputs" / (safe_segment(name) + (f".{index}" if index else ""))

    def output(self, name: str) -> Path:
        return self.root / "outputs" / safe_segment(name)

    def parameter(self, name: str) -> Path:
        return self.root / "parameters" / safe_segment(name)

    def create(self) -> None:
        """Make it new: what an earlier process with the same key left is gone."""
        self.remove()
        for path in (self.work, self.root / "outputs", self.root / "parameters"):
            path.mkdir(parents=True)
        # Short, because sockets live there (multiprocessing's), and a socket's path may have 108 bytes only.
        self.temporary.symlink_to(tempfile.mkdtemp(prefix="nw-"))

    def clear(self) -> None:
        """Remove the bulk: all but the log and the small files."""
        if self.temporary.is_symlink():
            shutil.rmtree(self.temporary.readlink(), ignore_errors=True)
            self.temporary.unlink()
        for name in _BULKY:
            shutil.rmtree(self.root / name, ignore_errors=True)

    def remove(self) -> None:
        """Remove everything."""
        self.clear()
        shutil.rmtree(self.root, ignore_errors=True)
