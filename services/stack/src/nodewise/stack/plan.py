"""What to start, in which order, with which environment. Pure: the machine and the ports come in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nodewise.stack.errors import StackError
from nodewise.stack.hosts import near
from nodewise.stack.keys import carrier_key_file, key_file, node_key_file, secret_file
from nodewise.stack.ports import LOOPBACK
from nodewise.stack.probes import HttpProbe, NodeProbe, Probe
from nodewise.stack.process import MARK, Program
from nodewise.stack.profiles import AgentProfile

HTTP_SERVICES = {"api": "/readyz", "monitor": "/healthz"}
"""Services with an HTTP server, and the path that says whether they can work."""
WORKERS = ("recorder", "scheduler")
CARRIER = "carrier"
_HIGHEST_PORT = 65535
_OF_ONE_PROCESS = ("NODEWISE_PORT", "NODEWISE_METRICS_PORT")
"""Settings that two processes must not share, should the user have set them."""
_NODES_FILE = "NODEWISE_NODE_SECRET_FILE"
_NODE_KEY = "NODEWISE_NODE_KEY_FILE"
_KEYS = ("NODEWISE_ADMIN_KEY_FILE", "NODEWISE_API_KEY", "NODEWISE_API_KEY_FILE", _NODES_FILE, _NODE_KEY)
"""Keys of whoever starts the stack are for no process of it; each reads that of the home that it needs."""
_OF_THE_RECORD = ("DATABASE_URL", "NODEWISE_DATABASE_URL")
_NOT_FOR_AGENTS = (*_OF_THE_RECORD, "NODEWISE_KFP_", "NODEWISE_KUBE")
"""What begins so says where the record and other engines are, and as whom to speak to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `nodewise up` was asked for. None: the service's own default."""

    agents: int = 4
    placers: int = 1
    policy: str | None = None
    strategy: str | None = None
    port: int | None = None
    bind: str = LOOPBACK
    """Address that all but Postgres listen on."""
    store: str | None = None
    container_runtime: str | None = None
    carrier: bool = False
    """Whether a carrier is started, which brings the nodes of a Kubernetes cluster."""

    def __post_init__(self) -> None:
        if self.agents < 0:
            raise StackError(f"--agents is {self.agents}", "give 0 or more")
        if self.placers < 1:
            raise StackError(f"--placers is {self.placers}", "give 1 or more")
        if self.port is not None and not 1 <= self.port <= _HIGHEST_PORT:
            raise StackError(f"--port is {self.port}", f"give a number from 1 to {_HIGHEST_PORT}")

    @property
    def placer_names(self) -> tuple[str, ...]:
        return tuple(f"placer-{number}" for number in range(1, self.placers + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the servers are, embedded or the user's own."""

    database_url: str
    redis_url: str
    store_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the processes run: their home, interpreter, inherited environment, servers and ports by process."""

    home: Path
    python: str
    env: Mapping[str, str]
    endpoints: Endpoints
    ports: Mapping[str, int]
    bind: str = LOOPBACK

    def url(self, name: str, host: str | None = None) -> str:
        """Base address of a process's HTTP port, for processes of this machine unless `host` is given."""
        return f"http://{host or near(self.bind)}:{self.ports[name]}"

    def log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One process. It is up when all `probes` are content; one that runs `once`, when it has ended with 0."""

    program: Program
    probes: tuple[Probe, ...] = ()
    port: int | None = None
    once: bool = False

    @property
    def name(self) -> str:
        return self.program.name


Stage = tuple[Planned, ...]
"""Processes that start at the same time; the next stage waits until all are up."""


def port_names(options: Options, agents: Sequence[AgentProfile]) -> tuple[str, ...]:
    """Names of the processes of ours that need a port."""
    carrier = (CARRIER,) if options.carrier else ()
    nodes = (agent_process(agent) for agent in agents)
    return (*HTTP_SERVICES, *WORKERS, *options.placer_names, *carrier, *nodes)


def agent_process(agent: AgentProfile) -> str:
    """Name of the process of an agent."""
    return f"agent-{agent.name}"


def service_stages(options: Options, site: Site, agents: Sequence[AgentProfile]) -> tuple[Stage, ...]:
    """All but the servers: the schema first, then who decides, then who works."""
    settings = _settings(options)
    migrate = Planned(program=_program(site, "migrate", ("nodewise.core.db.migrate",)), once=True)
    keys = {"NODEWISE_ADMIN_KEY_FILE": str(key_file(site.home))}
    http = [
        _http_service(site, name, path, settings | (keys if name == "api" else {}))
        for name, path in HTTP_SERVICES.items()
    ]
    secret = {_NODES_FILE: str(secret_file(site.home))}
    workers = [
        _worker(site, name, (f"nodewise.{name}",), settings | (secret if name == "recorder" else {}))
        for name in WORKERS
    ]
    placers = [
        _worker(site, n, ("nodewise.placer", "--name", n), settings | secret) for n in options.placer_names
    ]
    stages: tuple[Stage, ...] = (
        (migrate,),
        (*http, *workers, *placers),
        (
            *((_carrier(site),) if options.carrier else ()),
            *(_agent(site, agent, container_runtime=options.container_runtime) for agent in agents),
        ),
    )
    return tuple(stage for stage in stages if stage)


def _settings(options: Options) -> dict[str, str]:
    given = {"NODEWISE_POLICY": options.policy, "NODEWISE_STRATEGY": options.strategy}
    return {name: value for name, value in given.items() if value is not None}


def environment(site: Site) -> dict[str, str]:
    """What every process of this home inherits."""
    inherited = {name: value for name, value in site.env.items() if name not in (*_OF_ONE_PROCESS, *_KEYS)}
    return {
        **inherited,
        "DATABASE_URL": site.endpoints.database_url,
        "REDIS_URL": site.endpoints.redis_url,
        "NODEWISE_STORE_URL": site.endpoints.store_url,
        "NODEWISE_HOST": site.bind,
        "NODEWISE_HOME": str(site.home),
        MARK: str(site.home),
        "PYTHONUNBUFFERED": "1",
        # Lets `kfp.pipeline_spec` be imported without the compiler, in a fraction of the time.
        "_KFP_RUNTIME": "true",
    }


def _program(
    site: Site, name: str, arguments: Sequence[str], extra: Mapping[str, str] | None = None
) -> Program:
    return Program(
        name=name,
        # -P: a file of the user's in the current folder must not shadow a module of ours.
        argv=(site.python, "-P", "-m", *arguments),
        env={**environment(site), **(extra or {})},
        log=site.log(name),
    )


def _http_service(site: Site, name: str, path: str, settings: Mapping[str, str]) -> Planned:
    port = site.ports[name]
    program = _program(site, name, (f"nodewise.{name}",), {**settings, "NODEWISE_PORT": str(port)})
    return Planned(program=program, probes=(HttpProbe(site.url(name) + path),), port=port)


def _worker(site: Site, name: str, arguments: Sequence[str], settings: Mapping[str, str]) -> Planned:
    port = site.ports[name]
    program = _program(site, name, arguments, {**settings, "NODEWISE_METRICS_PORT": str(port)})
    return Planned(program=program, probes=(HttpProbe(f"{site.url(name)}/metrics"),), port=port)


def _carrier(site: Site) -> Planned:
    """It needs no more than an agent does, and Kubernetes."""
    worker = _worker(site, CARRIER, ("nodewise.carrier",), {_NODE_KEY: str(carrier_key_file(site.home))})
    left_out = (*_OF_THE_RECORD, "NODEWISE_KFP_")
    env = {name: value for name, value in worker.program.env.items() if not name.startswith(left_out)}
    return replace(worker, program=replace(worker.program, env=env))


def _agent(site: Site, agent: AgentProfile, *, container_runtime: str | None) -> Planned:
    name = agent_process(agent)
    arguments = agent_arguments(agent, site.home / "agents" / agent.name)
    if near(site.bind) != site.bind:
        # It would tell others the address that it listens on, and that one names no machine.
        arguments = (*arguments, "--advertise", near(site.bind))
    if container_runtime is not None:
        arguments = (*arguments, "--container-runtime", container_runtime)
    # The agents of one machine install a set of packages once for all of them.
    venvs = {} if "NODEWISE_VENVS_DIR" in site.env else {"NODEWISE_VENVS_DIR": str(site.home / "venvs")}
    key = {_NODE_KEY: str(node_key_file(site.home, agent.name))}
    worker = _worker(site, name, arguments, venvs | key)
    # An agent needs the broker and the store; what it does not know, no task of it can read.
    env = {name: value for name, value in worker.program.env.items() if not name.startswith(_NOT_FOR_AGENTS)}
    return Planned(
        program=replace(worker.program, env=env),
        probes=(*worker.probes, NodeProbe(site.url("api"), agent.name, site.home)),
        port=worker.port,
    )


def agent_arguments(agent: AgentProfile, work_dir: Path) -> tuple[str, ...]:
    """The module and arguments that make this agent."""
    accelerator = ("--accelerator", agent.accelerator) if agent.accelerator else ()
    labels = (part for key, value in sorted(agent.labels.items()) for part in ("--label", f"{key}={value}"))
    return (
        "nodewise.agent", "--name", agent.name,
        "--cores", ",".join(map(str, agent.cores)), "--millicores", str(agent.millicores),
        "--memory-mib", str(agent.memory_mib), "--node-class", agent.node_class,
        "--worker-type", agent.worker_type, "--architecture", agent.architecture,
        *accelerator, "--gpus", str(agent.gpus), *labels, "--work-dir", str(work_dir),
    )  # fmt: skip
