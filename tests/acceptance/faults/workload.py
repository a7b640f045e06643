"""What runs meanwhile: short pipelines whose tasks leave traces outside of all that is under test."""

# ruff: noqa: PLC0415 (a task travels as the source of its function)
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from nodewise.sdk import Client, Dataset, In, Out, Resources, pipeline, task
from nodewise.sdk.client.errors import ApiError, NotReachable

HALF = Resources(cpu=0.5, memory="64Mi")
TASKS = 4
"""Of each run."""


@task(resources=HALF)
def leave(folder: str, name: str, seconds: float, data: Out[Dataset], before: str = "") -> str:
    """Tell that it runs and what it was given, work, tell that it ended; the token names this very execution."""
    import json
    import os
    import pathlib
    import time
    import uuid

    token = uuid.uuid4().hex
    place = pathlib.Path(os.environ["NODEWISE_ATTEMPT"])

    def tell(what: str) -> None:
        said = {
            "what": what,
            "name": name,
            "token": token,
            "before": before,
            "at": time.time(),
            "place": str(place),
        }
        # One write to a file opened for appending: lines of several processes do not mix.
        file = os.open(pathlib.Path(folder) / "effects.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, (json.dumps(said) + "\n").encode())
        os.close(file)

    tell("begins")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
    pathlib.Path(data.path).write_text(token * 100)
    tell("ends")
    return token


@task(resources=HALF)
def join(folder: str, name: str, seconds: float, data: In[Dataset], left: str, right: str) -> str:
    """As `leave`, of what two have left; and the artifact must be what its maker's token says."""
    import json
    import os
    import pathlib
    import time
    import uuid

    token = uuid.uuid4().hex
    place = os.environ["NODEWISE_ATTEMPT"]

    def tell(what: str) -> None:
        said = {
            "what": what,
            "name": name,
            "token": token,
            "before": f"{left} {right}",
            "at": time.time(),
            "place": place,
        }
        file = os.open(pathlib.Path(folder) / "effects.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, (json.dumps(said) + "\n").encode())
        os.close(file)

    tell("begins")
    if pathlib.Path(data.path).read_text() != left * 100:
        raise ValueError("this artifact is another's")
    time.sleep(seconds)
    tell("ends")
    return token


@pipeline(name="diamond")
def diamond(folder: str, first: float = 0.1, left: float = 0.1, right: float = 0.1, last: float = 0.1):
    """One, then two side by side, then one that needs both."""
    begin = leave(folder=folder, name="first", seconds=first)
    one = leave(folder=folder, name="left", seconds=left, before=begin.output)
    other = leave(folder=folder, name="right", seconds=right, before=begin.output)
    join(folder=folder, name="last", seconds=last, data=one.data, left=one.output, right=other.output)


@dataclass
class Submitter:
    """Submits from a thread of its own, evenly, and more where too little is under way to be held up by a fault.

    `folders` are the folders of the runs by the id that was accepted; `trouble` is what no submission should meet.
    """

    url: str
    folder: Path
    every_seconds: float
    least_open: int
    chance: random.Random
    folders: dict[str, Path] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    trouble: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="submitter")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Submit no more; what is being submitted is submitted."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        with Client(self.url, timeout=10, retries=20) as client:
            while not self._stopped.is_set():
                if time.monotonic() < due and len(self.folders) - len(self.ended) >= self.least_open:
                    self._stopped.wait(0.05)
                    continue
                due = max(due, time.monotonic() - self.every_seconds) + self.every_seconds
                self._submit(client)

    def _submit(self, client: Client) -> None:
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir(parents=True)
        lengths = {
            name: round(self.chance.uniform(0.1, 1.5), 2) for name in ("first", "left", "right", "last")
        }
        try:
            given = {"folder": str(folder), **lengths}
            run = client.submit(diamond, parameters=given, idempotency_key=folder.name)
        except (ApiError, NotReachable) as error:
            self.trouble.append(f"{type(error).__name__}: {error}")
        else:
            self.folders[run.id] = folder
