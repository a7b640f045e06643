"""`nodewise up`: from options to a running stack, and back to nothing when it is asked to stop."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nodewise.core.errors import NodewiseError
from nodewise.stack import home as homes
from nodewise.stack.hosts import is_loopback, public, require_own
from nodewise.stack.keys import key_file, prepare_key, prepare_node_keys
from nodewise.stack.leftovers import clean_up
from nodewise.stack.lock import SupervisorLock
from nodewise.stack.plan import Endpoints, Options, Site, port_names, service_stages
from nodewise.stack.ports import LOOPBACK, choose_ports, require_free
from nodewise.stack.process import identity
from nodewise.stack.profiles import AgentProfile, agent_profiles, describe
from nodewise.stack.report import Reporter
from nodewise.stack.servers import assemble, embedded, mark_store
from nodewise.stack.signals import Signals
from nodewise.stack.state import Phase, ProcessState, StackState, load_state, save_state, state_path
from nodewise.stack.supervisor import StopRequested, Supervisor

_OPEN_TO_OTHERS = "warning: --bind {host}: {who}; nothing that is sent there is encrypted"
_WITH_KEYS = "the API there wants a key (`nodewise keys create`), the monitor none"
_WITHOUT_KEYS = "whoever reaches that address can use the API, as NODEWISE_AUTH is off"


def up(home: Path, options: Options, report: Reporter, *, python: str = sys.executable) -> int:
    """Start everything and supervise it until a signal comes; returns the exit code.

    Call it in the main thread: it takes the signals, and its children end with the thread that started them.
    `python` runs the services.
    """
    try:
        homes.prepare(home)
        with SupervisorLock(home), Signals() as signals:
            require_own(options.bind)
            _clear_the_past(home, report)
            homes.rotate_logs(home)
            prepare_key(home)
            _Stack(options, report, signals, home=home, python=python).live()
    except (NodewiseError, OSError) as error:
        report.failed(str(error))
        return 1
    return 0


def _clear_the_past(home: Path, report: Reporter) -> None:
    if ended := clean_up(home):
        report.line(f"ended {ended} processes that an earlier start left behind")


class _Stack:
    """One life of a stack."""

    def __init__(
        self, options: Options, report: Reporter, signals: Signals, *, home: Path, python: str
    ) -> None:
        self._home = home
        self._options = options
        self._report = report
        self._signals = signals
        self._agents = agent_profiles(options.agents, homes.this_machine())
        prepare_node_keys(home, (agent.name for agent in self._agents))
        ports = _ports(home, options, self._agents)
        self._servers = assemble(home, os.environ, ports, options)
        self._site = Site(
            home=home,
            python=python,
            env=dict(os.environ),
            endpoints=self._servers.endpoints,
            ports=ports,
            bind=options.bind,
        )
        self._state = _first_state(self._site, self._servers.public)

    def live(self) -> None:
        supervisor = Supervisor(self._signals, tell=self._report.line, changed=self._note)
        try:
            with suppress(StopRequested):
                self._start(supervisor)
                supervisor.run()
            self._report.line("stopping")
        finally:
            supervisor.stop()
            with suppress(OSError):
                save_state(self._home, self._state.stopped())
            # A task outlives an agent that had to be killed; nothing of this home outlives its supervisor.
            clean_up(self._home)

    def _start(self, supervisor: Supervisor) -> None:
        if not is_loopback(self._options.bind):
            who = _WITHOUT_KEYS if os.environ.get("NODEWISE_AUTH") == "off" else _WITH_KEYS
            self._report.line(_OPEN_TO_OTHERS.format(host=self._options.bind, who=who))
        supervisor.start_stage(self._servers.stage(self._home))
        if self._servers.postgres is not None:
            self._servers.postgres.ensure_database()
        mark_store(self._servers.endpoints)
        for stage in service_stages(self._options, self._site, self._agents):
            self._report.line(f"starting {', '.join(planned.name for planned in stage)}")
            supervisor.start_stage(stage)
        for line in describe(self._agents):
            self._report.line(line)
        self._report.line(f"the key of the API is in {key_file(self._home)}; `nodewise` finds it there")
        self._report.line(f"the passwords of Postgres and Redis are in {state_path(self._home)}")
        self._state = replace(self._state, phase=Phase.RUNNING)
        self._save(supervisor.processes())
        self._report.ready(self._state)

    def _note(self, processes: Mapping[str, ProcessState]) -> None:
        """Save what changed while the stack runs. A full disk must not end the processes that could free it."""
        try:
            self._save(processes)
        except OSError as error:
            self._report.line(f"cannot write {state_path(self._home)}: {error.strerror}; the stack goes on")

    def _save(self, processes: Mapping[str, ProcessState]) -> None:
        self._state = replace(self._state, processes=processes)
        save_state(self._home, self._state)


def _ports(home: Path, options: Options, agents: tuple[AgentProfile, ...]) -> Mapping[str, int]:
    remembered = state.ports if (state := load_state(home)) else {}
    names = (*embedded(os.environ), *port_names(options, agents))
    hosts = {**dict.fromkeys(names, options.bind), "postgres": LOOPBACK}
    if options.port is None:
        return choose_ports(names, remembered, hosts=hosts)
    require_free(options.port, options.bind)
    return choose_ports(names, {**remembered, "api": options.port}, hosts=hosts)


def _first_state(site: Site, endpoints: Endpoints) -> StackState:
    host = public(site.bind)
    return StackState(
        phase=Phase.STARTING,
        api_url=site.url("api", host),
        monitor_url=site.url("monitor", host),
        database_url=endpoints.database_url,
        redis_url=endpoints.redis_url,
        store_url=endpoints.store_url,
        started_at=datetime.now(UTC),
        supervisor=identity(os.getpid()),
        ports=dict(site.ports),
    )
