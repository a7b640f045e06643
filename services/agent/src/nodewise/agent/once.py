"""One attempt, or a part of one, in a pod of its own: `python -m nodewise.agent.once run|stage|collect JOB_URI`.

`run` does all of a Python component. Of a component with its own image, `stage` comes before its container and `collect` after it, all in one pod
and with one folder. Nothing here hears messages or sends any: what came of it is left in the store (and, for want of that, in the
termination message), where a carrier finds it.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

import structlog

from nodewise.agent import options as measured
from nodewise.agent import orphans
from nodewise.agent.attempt import AttemptRun
from nodewise.agent.cache import ArtifactCache
from nodewise.agent.folder import AttemptFolder
from nodewise.agent.journal import Journal
from nodewise.agent.kills import MemoryKills
from nodewise.agent.leaving import leave_report
from nodewise.agent.logs import LogShipper
from nodewise.agent.outputs import OutputError, collect
from nodewise.agent.spares import Spares
from nodewise.agent.staging import stage
from nodewise.agent.supervision import StopCause, Watchdog
from nodewise.agent.venvs import Venvs
from nodewise.agent.verdicts import one_line, presentable
from nodewise.agent.workshop import Workshop
from nodewise.core.errors import ArtifactMissing, NodewiseError, StoreError
from nodewise.core.jobfiles import read_job
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport, JobRef
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.job import Job
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings, read_settings
from nodewise.core.store import ArtifactStore, claim_key
from nodewise.core.telemetry import configure_logging

T = TypeVar("T")

WORK_DIR: Final = "NODEWISE_WORK_DIR"
POD: Final = "NODEWISE_POD_UID"
TERMINATION: Final = "NODEWISE_TERMINATION_LOG"
FAILED: Final = 1
CLAIMED: Final = 75
"""Another pod has begun this attempt. `EX_TEMPFAIL`."""
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where this process is, and for which job."""

    settings: Settings
    store: ArtifactStore
    work_dir: Path
    pod: str
    termination: Path
    job_uri: str
    job: Job

    @property
    def folder(self) -> AttemptFolder:
        return AttemptFolder(Journal(self.work_dir).folder(self.job.key))


def run(place: Place) -> AttemptReport:
    """The whole attempt of a Python component. SIGTERM ends it as canceled."""
    orphans.adopt()
    kills = MemoryKills.now()
    ended: list[AttemptReport] = []
    over = threading.Event()

    def end(report: AttemptReport) -> None:
        ended.append(report)
        over.set()

    workshop = _workshop(place)
    ref = JobRef(key=place.job.key, job_uri=place.job_uri, dispatched_at=datetime.now(UTC))
    attempt = AttemptRun(ref, workshop, on_started=_unheard, on_ended=end)

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
        # From a signal handler, where taking locks could wait for ourselves.
        threading.Thread(target=attempt.stop, args=(StopCause.CANCELED,), daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    workshop.watchdog.start()
    workshop.shipper.start()
    attempt.start()
    # In pieces: a signal is only handled between two of them.
    while not over.wait(0.2):
        pass
    return kills.judged(ended[0], limit_mib=place.job.memory_limit_mib)


def begin(place: Place) -> AttemptReport | None:
    """Stage what a component with its own image needs; None: its container may start."""
    folder = place.folder
    folder.create()
    # It is outside the folder that the containers of the pod share.
    shutil.rmtree(folder.temporary.readlink(), ignore_errors=True)
    folder.temporary.unlink()
    cache = ArtifactCache(place.store, place.work_dir / "cache", limit_mib=0)
    _patiently(lambda: stage(place.job, folder, cache, cores=()))
    _open_to_all(place.work_dir)
    return None


def finish(place: Place) -> AttemptReport:
    """Take up what the container of a component left; it has ended well, or this would not be run."""
    try:
        outputs = _patiently(lambda: collect(place.job, place.folder, place.store))
    except OutputError as error:
        return _failed(place.job.key, ReasonCode.EXIT_CODE, str(error))
    except (StoreError, OSError) as error:
        text = f"its outputs could not be stored: {error}"
        return _failed(place.job.key, ReasonCode.AGENT_ERROR, text)
    return AttemptReport(
        key=place.job.key,
        state=AttemptState.SUCCEEDED,
        finished_at=datetime.now(UTC),
        reason=ReasonCode.FINISHED,
        outputs=outputs,
    )


STEPS: Final[dict[str, Callable[[Place], AttemptReport | None]]] = {
    "run": run,
    "stage": begin,
    "collect": finish,
}


def main(argv: list[str]) -> int:
    """Do one step of one job; the exit code."""
    step, uri = argv
    settings = read_settings()
    configure_logging(settings, f"once-{step}")
    termination = Path(os.environ.get(TERMINATION, "/dev/termination-log"))
    try:
        place = _place(settings, uri, termination)
        if step != "collect" and not _claimed(place):
            return CLAIMED
        report = _tried(place, STEPS[step])
    except (NodewiseError, OSError, ValueError) as error:
        # Nothing is known of the job, or nothing can be written: the words of this pod are all there is.
        termination.write_text(one_line(error)[:2000])
        _log.error("the attempt cannot be begun", error=str(error))
        return FAILED
    if report is None:
        return 0
    leave_report(report, place.store, termination)
    return 0 if report.state is AttemptState.SUCCEEDED else FAILED


def _tried(place: Place, step: Callable[[Place], AttemptReport | None]) -> AttemptReport | None:
    try:
        return step(place)
    except (NodewiseError, OSError) as error:
        return _failed(place.job.key, ReasonCode.AGENT_ERROR, one_line(error))


def _place(settings: Settings, uri: str, termination: Path) -> Place:
    store = ArtifactStore(settings.store_url)
    job = _patiently(lambda: read_job(store, uri))
    return Place(
        settings=settings,
        store=store,
        work_dir=Path(os.environ.get(WORK_DIR, "/var/lib/nodewise/agent")),
        pod=os.environ.get(POD, ""),
        termination=termination,
        job_uri=uri,
        job=job,
    )


def _claimed(place: Place) -> bool:
    """Whether this pod is the one that runs the attempt: a Job makes a second pod when somebody deletes the first one.

    Nobody else writes at the same time: the second one is made when the first one is gone.
    """
    key = claim_key(place.job.key)
    holder = _patiently(lambda: place.store.read_key(key))
    if holder is not None and holder.decode() != place.pod:
        place.termination.write_text("another pod has begun this attempt")
        _log.warning("another pod has begun this attempt", pod=holder.decode())
        return False
    _patiently(lambda: place.store.write_key(key, place.pod.encode()))
    return True


def _patiently(step: Callable[[], T]) -> T:
    for pause in _PAUSES:
        try:
            return step()
        except ArtifactMissing:
            raise
        except StoreError as error:
            _log.warning("the store failed; trying again", error=str(error))
            threading.Event().wait(pause)
    return step()


def _workshop(place: Place) -> Workshop:
    capacity = Resources(
        millicores=1000 * len(measured.usable_cores()), memory_mib=measured.machine_memory_mib()
    )
    node = measured.node_from("pod", capacity=capacity, node_class=None, described={}, labels={})
    options = measured.AgentOptions(node=node, cores=measured.usable_cores(), work_dir=place.work_dir)
    return Workshop(
        options=options,
        store=place.store,
        cache=ArtifactCache(place.store, place.work_dir / "cache", limit_mib=options.cache_mib),
        venvs=Venvs(options.environments, limit_mib=options.venvs_mib),
        journal=Journal(place.work_dir),
        watchdog=Watchdog(),
        shipper=LogShipper(),
        spares=Spares(place.work_dir, count=0),
        max_log_mib=place.settings.max_log_mib,
    )


def _unheard(key: AttemptKey, at: datetime) -> None:
    """Kubernetes tells when a container began."""


def _open_to_all(root: Path) -> None:
    """The component's container may run as anybody."""
    for folder, _, files in os.walk(root):
        if not Path(folder).is_symlink():
            _allow(Path(folder), 0o777)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                _allow(path, 0o666 | (path.stat().st_mode & 0o111))


def _allow(path: Path, mode: int) -> None:
    # The root of a volume is another's.
    if path.stat().st_uid == os.getuid():
        path.chmod(mode)


def _failed(key: AttemptKey, reason: ReasonCode, text: str) -> AttemptReport:
    return AttemptReport(
        key=key,
        state=AttemptState.FAILED,
        finished_at=datetime.now(UTC),
        reason=reason,
        message=presentable(text),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
