"""Wiring: the Celery worker on the node's queue, and the process from its start to its orderly end."""

import fcntl
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import structlog
from celery import Celery
from celery.signals import worker_shutting_down
from prometheus_client import REGISTRY

from nodewise.agent import orphans
from nodewise.agent.agent import Agent
from nodewise.agent.cache import ArtifactCache
from nodewise.agent.containers import Containers
from nodewise.agent.deferring import deferring
from nodewise.agent.heart import Heart
from nodewise.agent.joining import broker_client, shown, wait_for_cluster
from nodewise.agent.journal import Journal
from nodewise.agent.logs import LogShipper
from nodewise.agent.metrics import NodeCollector
from nodewise.agent.options import AgentOptions, OptionError
from nodewise.agent.reception import Reception
from nodewise.agent.spares import Spares
from nodewise.agent.supervision import Watchdog
from nodewise.agent.tenure import NameTenure, folder_id
from nodewise.agent.venvs import Venvs
from nodewise.agent.workshop import Workshop
from nodewise.core.messages import (
    CANCEL_JOBS,
    FORGET_JOBS,
    NOT_HEARD,
    START_JOBS,
    CancelJobs,
    ForgetJobs,
    StartJobs,
)
from nodewise.core.messaging.app import agent_queue, create_app, run_worker
from nodewise.core.messaging.heartbeats import HeartbeatSender
from nodewise.core.messaging.trust import Trust, trust_of_agent
from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import BadKey
from nodewise.core.settings import Settings
from nodewise.core.store import ArtifactStore
from nodewise.core.telemetry import configure_logging, serve_metrics

_log = structlog.get_logger()


def run(settings: Settings, options: AgentOptions) -> None:
    """Be the agent of this node until SIGTERM.

    Raises:
        OptionError: The work directory cannot be used, or another agent uses it; or the key of the node is missing, or is none.
        CannotJoin: The cluster does not take this agent: its broker, its store, or the agent of the same name.
    """
    trust = _trust(settings, options.node.name)
    # Until there is an agent that has something to tell before it ends.
    signal.signal(signal.SIGTERM, _exit)
    configure_logging(settings, "agent")
    structlog.contextvars.bind_contextvars(node=options.node.name)
    if options.container_runtime is None:
        # The monitors of podman's containers are orphans, too: there, what bears a task's mark is looked for instead.
        orphans.adopt()
    with owning(options.work_dir):
        _join(settings, options, trust, boot_id=str(uuid.uuid4()))


def _trust(settings: Settings, name: NodeName) -> Trust:
    try:
        return trust_of_agent(settings, name)
    except BadKey as error:
        raise OptionError(str(error)) from error


def _join(settings: Settings, options: AgentOptions, trust: Trust, *, boot_id: str) -> None:
    store = ArtifactStore(settings.store_url)
    with broker_client(settings.redis_url) as client:
        wait_for_cluster(store, client)
        with NameTenure(client, options.node.name, boot_id=boot_id, work_dir=options.work_dir):
            agent = Agent(_workshop(settings, options, store))
            _serve_metrics(settings, options, agent)
            sys.stdout.write(f"{options.node.name} joined the cluster at {shown(client)}; Ctrl-C stops it.\n")
            sys.stdout.flush()
            app = create_app(f"agent-{options.node.name}", settings)
            register(app, agent, Reception(trust.opens), node=options.node.name)
            heart = create_heart(settings, options, app, agent, boot_id=boot_id, trust=trust)
            _work(app, agent, heart, name=options.node.name)


def _work(app: Celery, agent: Agent, heart: Heart, *, name: NodeName) -> None:

    def begin_leaving(**_: object) -> None:
        # From a signal handler, where taking locks could wait for ourselves.
        threading.Thread(target=agent.begin_leaving, daemon=True).start()

    worker_shutting_down.connect(begin_leaving, weak=False)
    try:
        with deferring():
            agent.start(heart)
            run_worker(app, agent_queue(name), name=name)
    finally:
        agent.leave()


def register(app: Celery, agent: Agent, reception: Reception, *, node: NodeName) -> None:
    """The tasks that this worker consumes. Each returns at once (rule 6): the work is done in other threads."""

    @app.task(name=START_JOBS)
    def start(payload: object) -> None:
        if (message := reception.read(START_JOBS, StartJobs, payload, node=node)) is not None:
            agent.on_start(message)

    @app.task(name=CANCEL_JOBS)
    def cancel(payload: object) -> None:
        if (message := reception.read(CANCEL_JOBS, CancelJobs, payload, node=node)) is not None:
            agent.on_cancel(message)

    @app.task(name=FORGET_JOBS)
    def forget(payload: object) -> None:
        if (message := reception.read(FORGET_JOBS, ForgetJobs, payload, node=node)) is not None:
            agent.on_forget(message)

    @app.task(name=NOT_HEARD)
    def not_heard(payload: object) -> None:
        reception.not_heard(payload, node=node)


def create_heart(
    settings: Settings, options: AgentOptions, app: Celery, agent: Agent, *, boot_id: str, trust: Trust
) -> Heart:
    """The heart of this start of the agent."""
    host, port = settings.host, settings.metrics_port
    return Heart(
        HeartbeatSender(app, trust.seal),
        options.node,
        boot_id=boot_id,
        metrics_url=f"http://{options.advertise or host}:{port}/metrics" if port else None,
        reports=agent.reports,
        every_seconds=settings.heartbeat_seconds,
    )


def _workshop(settings: Settings, options: AgentOptions, store: ArtifactStore) -> Workshop:
    runtime = options.container_runtime
    return Workshop(
        options=options,
        store=store,
        cache=ArtifactCache(store, options.work_dir / "cache", limit_mib=options.cache_mib),
        venvs=Venvs(options.environments, limit_mib=options.venvs_mib),
        journal=Journal(options.work_dir),
        watchdog=Watchdog(),
        shipper=LogShipper(),
        spares=Spares(options.work_dir, count=options.spares),
        max_log_mib=settings.max_log_mib,
        containers=None if runtime is None else Containers(runtime, agent=folder_id(options.work_dir)),
    )


def _serve_metrics(settings: Settings, options: AgentOptions, agent: Agent) -> None:
    collector = NodeCollector(
        cores=options.cores,
        memory_mib=options.node.capacity.memory_mib,
        used_mib=agent.resident_mib,
        running=agent.running,
    )
    REGISTRY.register(collector)
    try:
        serve_metrics(settings)
    except OSError as error:
        raise OptionError(f"metrics on {settings.host}:{settings.metrics_port}: {error.strerror}") from error


@contextmanager
def owning(work_dir: Path) -> Iterator[None]:
    """Keep the work directory to ourselves: a second agent in it would take the first one's tasks for leftovers.

    Raises:
        OptionError: It cannot be made or written, or another agent uses it.
    """
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        lock = (work_dir / "agent.lock").open("w")
    except OSError as error:
        raise OptionError(f"--work-dir {work_dir}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OptionError(f"--work-dir {work_dir}: another agent uses it") from error
        yield


def _exit(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
    raise SystemExit(0)
