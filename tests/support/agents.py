"""A real agent process under test, and an ear on the recorder's queue."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil
import redis
from kombu import Connection
from kombu.exceptions import OperationalError

from nodewise.core.jobfiles import write_jobs
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import (
    CANCEL_JOBS,
    FORGET_JOBS,
    HEARTBEAT,
    START_JOBS,
    AttemptReport,
    CancelJobs,
    ForgetJobs,
    Heartbeat,
    JobRef,
    Message,
    StartJobs,
)
from nodewise.core.messaging.app import agent_queue, create_app
from nodewise.core.model.artifact import ArtifactRef, Values
from nodewise.core.model.component import Artifact, Parameter, PythonWork, Signature, ValueKind
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.job import Job
from nodewise.core.model.resources import Resources
from nodewise.core.sealing import open_unchecked
from nodewise.core.settings import Settings
from nodewise.core.store import ArtifactStore, mark_cluster
from tests.support.nodekeys import agent_key_file, services_seal

NODE = "n1"
ENDED = (AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.CANCELED)
HEADER = "from kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n\n"


_run = RunId("run-1")


def key(path: str = "train", attempt: int = 1) -> AttemptKey:
    """An attempt of this test's run."""
    return AttemptKey(run_id=_run, path=TaskPath(path), attempt=attempt)


def first_key() -> AttemptKey:
    return key()


def begin_run() -> None:
    """From now on `key` names attempts that no agent has heard of."""
    global _run  # noqa: PLW0603 - one test runs at a time in a process
    _run = RunId(f"run-{uuid.uuid4().hex[:8]}")


def job(
    source: str,
    *,
    key: AttemptKey | None = None,
    outputs: Mapping[str, ValueKind] | None = None,
    artifacts: Mapping[str, str] | None = None,
    inputs: Mapping[str, ArtifactRef] | None = None,
    parameters: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    **rest: object,
) -> Job:
    """A job of a function called `step`; `outputs` and `artifacts` are what it declares, beside all that it is given."""
    given, found = parameters or {}, inputs or {}
    signature = Signature(
        input_parameters={name: Parameter(kind=ValueKind.STRUCT, optional=True) for name in given},
        input_artifacts={name: Artifact(schema_title=ref.schema_title) for name, ref in found.items()},
        output_parameters={name: Parameter(kind=kind) for name, kind in (outputs or {}).items()},
        output_artifacts={name: Artifact(schema_title=title) for name, title in (artifacts or {}).items()},
    )
    return Job(
        key=key or first_key(),
        run_name="run",
        component="step",
        work=PythonWork(source=HEADER + source, function="step", environment=environment or {}),
        signature=signature,
        inputs=Values(parameters=given, artifacts={name: (ref,) for name, ref in found.items()}),
        resources=Resources(millicores=1000, memory_mib=256),
        **rest,  # type: ignore[arg-type]
    )


class AgentProcess:
    """`python -m nodewise.agent` with a work directory that outlives it."""

    def __init__(self, redis_url: str, store_url: str, work_dir: Path) -> None:
        self.settings = Settings(redis_url=redis_url, store_url=store_url)
        self.store = ArtifactStore(store_url)
        with redis.Redis.from_url(redis_url) as client:
            mark_cluster(self.store, client)
        self.work_dir = work_dir
        self.ear = Ear(redis_url)
        self._app = create_app("test", self.settings)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = work_dir.with_suffix(".log")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *arguments: str, through: Sequence[str] = (), **environment: str) -> None:
        env = {
            **os.environ,
            "REDIS_URL": self.settings.redis_url,
            "NODEWISE_STORE_URL": self.settings.store_url,
            "_KFP_RUNTIME": "true",
            "NODEWISE_HEARTBEAT_SECONDS": "0.3",
            "NODEWISE_NODE_KEY_FILE": str(agent_key_file(self.work_dir.parent, NODE)),
            **environment,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*through, sys.executable, "-P", "-m", "nodewise.agent", "--name", NODE, "--spares", "1", "--memory-mib", "1024",
                 "--node-class", "big", "--work-dir", str(self.work_dir), *arguments],
                env=env, stderr=log, stdout=log,
            )  # fmt: skip

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def terminate(self, seconds: float = 15) -> int:
        return self._end(signal.SIGTERM, seconds)

    def wait(self, seconds: float = 40) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def _end(self, number: signal.Signals, seconds: float = 15) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(seconds)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.terminate()
        # Its broker may be gone by now.
        with contextlib.suppress(OperationalError, redis.RedisError, OSError):
            self.ear.close()
        self._app.close()

    def submit(self, *jobs: Job) -> None:
        self.send(START_JOBS, StartJobs(jobs=self.stored(*jobs)))

    def stored(self, *jobs: Job) -> tuple[JobRef, ...]:
        """Put the jobs into the store, as a placer does."""
        now, uris = datetime.now(UTC), write_jobs(self.store, jobs)
        return tuple(JobRef(key=key, job_uri=uri, dispatched_at=now) for key, uri in uris.items())

    def tidy(self) -> None:
        """End and forget all that it was given."""

        def ended(heartbeat: Heartbeat) -> bool:
            live = [report.key for report in heartbeat.attempts if report.state not in ENDED]
            over = [report.key for report in heartbeat.attempts if report.state in ENDED]
            if live:
                self.cancel(*live)
            if over:
                self.forget(*over)
            return not heartbeat.attempts

        self.ear.drain()
        self.ear.wait_for(ended, 40, "an agent with nothing to do")

    def cancel(self, *keys: AttemptKey) -> None:
        self.send(CANCEL_JOBS, CancelJobs(keys=keys))

    def forget(self, *keys: AttemptKey) -> None:
        self.send(FORGET_JOBS, ForgetJobs(keys=keys))

    def send(self, name: str, message: Message) -> None:
        self._app.send_task(
            name, args=[services_seal()(name, NodeName(NODE), message)], queue=agent_queue(NODE)
        )

    def end_of(self, key: AttemptKey, seconds: float = 20) -> AttemptReport:
        """The report of the attempt's end."""
        return self.report_of(key, lambda report: report.state in ENDED, seconds)

    def running(self, key: AttemptKey, seconds: float = 20) -> AttemptReport:
        return self.report_of(key, lambda report: report.state is AttemptState.RUNNING, seconds)

    def report_of(
        self, key: AttemptKey, fits: Callable[[AttemptReport], bool], seconds: float = 20
    ) -> AttemptReport:
        def found(heartbeat: Heartbeat) -> AttemptReport | None:
            return next((r for r in heartbeat.attempts if r.key == key and fits(r)), None)

        return self.ear.wait_for(found, seconds, f"{key} as wanted")


T = TypeVar("T")


class Ear:
    """Reads heartbeats as the recorder would."""

    def __init__(self, redis_url: str) -> None:
        self._connection = Connection(redis_url)
        self._queue = self._connection.SimpleQueue("recorder", no_ack=True)

    def wait_for(self, found: Callable[[Heartbeat], T | None], seconds: float = 20, what: str = "") -> T:
        """The first thing that `found` finds in a heartbeat."""
        deadline = time.monotonic() + seconds
        last: Heartbeat | None = None
        while time.monotonic() < deadline:
            for heartbeat in self.hear(0.5):
                last = heartbeat
                result = found(heartbeat)
                if result is not None:
                    return result
        raise AssertionError(f"waited {seconds:g} s in vain for {what}; last heartbeat: {last}")

    def hear(self, seconds: float) -> Iterator[Heartbeat]:
        with contextlib.suppress(Empty):
            message = self._queue.get(timeout=seconds)
            yield _read(message)

    def drain(self) -> list[Heartbeat]:
        """All that was said so far."""
        heard = []
        with contextlib.suppress(Empty):
            while True:
                heard.append(_read(self._queue.get(block=False)))
        return heard

    def close(self) -> None:
        self._queue.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read(message: Any) -> Heartbeat:
    return open_unchecked(HEARTBEAT, message.payload[0][0]).read(Heartbeat)


def alive(pid: int) -> bool:
    """Whether a process with that number runs (a zombie does not)."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
