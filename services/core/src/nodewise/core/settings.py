"""Settings of every process, from the environment. Names follow the twelve-factor custom: DATABASE_URL and REDIS_URL
are the ones that people already have; all others start with NODEWISE_.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AliasChoices, Field, PositiveFloat, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from nodewise.core.model.engines import EngineName
from nodewise.core.model.problem import Objective
from nodewise.core.model.quota import Quota


class Settings(BaseSettings):
    """One object for all services; each reads what it needs.

    Raises:
        pydantic.ValidationError: A variable does not parse; names it.
    """

    model_config = SettingsConfigDict(env_prefix="NODEWISE_", extra="ignore", populate_by_name=True)

    database_url: str = Field(
        default="postgresql+psycopg://nodewise@127.0.0.1:5432/nodewise",
        validation_alias=AliasChoices("DATABASE_URL", "NODEWISE_DATABASE_URL"),
    )
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        validation_alias=AliasChoices("REDIS_URL", "NODEWISE_REDIS_URL"),
    )
    database_password_file: Path | None = None
    """A file with the password for `database_url`, where that names none."""
    redis_password_file: Path | None = None
    """A file with the password for `redis_url`, where that names none."""
    prometheus_url: str | None = Field(
        default=None, validation_alias=AliasChoices("PROMETHEUS_URL", "NODEWISE_PROMETHEUS_URL")
    )
    store_url: str = "file:///tmp/nodewise-store"
    """Where artifacts live: any fsspec URL of a directory."""

    host: str = "127.0.0.1"
    """Address that the HTTP servers of this process bind to."""
    port: int = 0
    """Port of this process's HTTP server (api, monitor)."""
    metrics_port: int = 0
    """Port of this process's /metrics, where it has no HTTP server of its own; 0: none."""

    auth: Literal["keys", "off"] = "keys"
    """Whether the API wants a key of its callers. `off`: whoever reaches it may do everything."""
    allowed_hosts: list[str] = Field(default_factory=list)
    """Where no key is asked for: names of the API besides this machine's own, as JSON; `*.domain` for all of a domain, `*` for any."""
    admin_key_file: Path | None = None
    """A file with an admin key, `nw_<32 hex digits>_<secret>`, which holds beside those in the database."""
    mlopx_team: str | None = None
    """Lets the seed's client, which cannot send a key, submit for that team without one; None: not at all."""
    rate_per_second: float = Field(default=200, ge=0)
    """So many requests a second each key may make, but those of admins; 0: any number."""
    rate_burst: int = Field(default=400, ge=1)
    """So many it may make at once after a pause."""

    node_keys: Literal["required", "off"] = "required"
    """Whether messages between nodes and services are signed with the keys of the nodes. `off`: whoever has the broker is any node."""
    node_secret_file: Path | None = None
    """A file with the secret that all keys of nodes are derived from; for recorder and placers."""
    node_key_file: Path | None = None
    """A file with the key of this agent's node, or of this carrier."""
    node_clock_seconds: float = Field(default=60.0, gt=0)
    """So far the clocks of nodes and services may be apart; what was signed longer ago shows no sign of life."""

    engine: EngineName = "agents"
    """Where runs go that do not say it: to our own agents, to Jobs of Kubernetes, or to Kubeflow Pipelines."""
    kfp_url: str | None = None
    """Kubeflow Pipelines' API server; without it there is no engine `kubeflow`."""
    kfp_token: str | None = Field(default=None, repr=False)
    kfp_token_file: Path | None = None
    """A projected service-account token; read anew for each request."""
    kfp_cookie: str | None = Field(default=None, repr=False)
    kfp_ca_file: Path | None = None
    kfp_verify_tls: bool = True
    kfp_experiment_id: str | None = None
    """The experiment of all runs, by which a multi-user KFP finds their namespace; without it KFP's default one."""
    kfp_service_account: str | None = None
    """As whom the pods run; without it as KFP says."""
    kfp_pipeline_root: str | None = None
    kfp_seconds: float = Field(default=30.0, gt=0)
    """How long an answer of KFP is waited for."""
    kfp_poll_seconds: float = Field(default=2.0, gt=0)
    """How long the recorder sleeps between two looks at KFP."""
    kfp_quiet_seconds: float = Field(default=60.0, gt=0)
    """So long after a post without an answer nothing is posted again; longer than the time-outs of all gateways before KFP."""
    kfp_lost_seconds: float = Field(default=120.0, gt=0)
    """A run of which KFP answers so long, several times, that it has none such, is lost."""
    kubernetes_url: str | None = None
    """The Kubernetes API; without it as kubeconfig or the pod's service account says."""
    kubernetes_token: str | None = Field(default=None, repr=False)
    kubernetes_ca_file: Path | None = None
    kubernetes_context: str | None = None
    kubeconfig: Path | None = None
    kubernetes_seconds: float = Field(default=5.0, gt=0)
    """How long the recorder sleeps between two looks at the nodes of Kubernetes."""
    kubernetes_staleness_seconds: float = Field(default=300.0, gt=0)
    """While the Kubernetes API is silent, its nodes are used for so long."""
    kubernetes_namespace: str | None = None
    """Where a carrier makes its Jobs; None: its own pod's or its kubeconfig's, else `default`."""
    kubernetes_image: str | None = None
    """The agent's image, which its pods begin from; without it there is no carrier."""
    kubernetes_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """Of that image; those of components are fetched as Kubernetes does by itself."""
    kubernetes_pull_secrets: list[str] = Field(default_factory=list)
    """Names of Secrets for registries, as JSON."""
    kubernetes_service_account: str | None = None
    """As whom the pods of tasks run; none of them gets its token."""
    kubernetes_node_selector: str | None = None
    """Labels of the nodes that a carrier brings, such as `pool=batch`; None: all nodes."""
    kubernetes_store_claim: str | None = None
    """The PersistentVolumeClaim that is mounted where a store with a file:// URL lies."""
    kubernetes_store_path: str | None = None
    """A folder of every node that is mounted there instead."""
    kubernetes_pod_secret: str | None = None
    """A Secret whose keys are variables of our containers (not of components' own): the keys of a bucket."""
    kubernetes_pod_env: dict[str, str] = Field(default_factory=dict)
    """Further variables of our containers, as JSON."""
    kubernetes_poll_seconds: float = Field(default=1.0, gt=0)
    """How long a carrier sleeps at most between two looks at its Jobs."""
    kubernetes_pending_seconds: float = Field(default=60.0, gt=0)
    """So long a pod may find no room on the node that it was placed on before its task is placed anew."""
    kubernetes_keep_seconds: int = Field(default=86_400, ge=0)
    """What nobody removed goes so long after its end."""
    node_exporter_port: int = Field(default=9100, ge=0, le=65535)
    """Where node_exporter listens on the nodes of Kubernetes; 0: there is none."""

    policy: str = "balanced"
    strategy: str = "portfolio"
    strategy_options: str | None = None
    """Path of a JSON file: {strategy name: {option: value}}."""
    objective: Objective = Objective.BALANCED
    """What plans are judged by: makespan, mean_flow, or balanced between both."""
    ageing_seconds: float = Field(default=3600, gt=0)
    """What has waited so long comes before everything that has not, whatever the policy says."""
    link_mib_per_s: float = Field(default=100, gt=0)
    """How fast data moves between two nodes, as plans reckon."""
    planning_seconds: float = Field(default=0.5, gt=0)
    """How long a look of the scheduler may search for a better plan."""
    planning_horizon: int = Field(default=2000, ge=1)
    """So many tasks are planned ahead; the rest is planned once these are on their way."""
    team_shares: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Weights for the policy `fair_share`, as JSON: {"vision": 2, "speech": 1}; a team that is not named has 1."""
    team_quotas: dict[str, Quota] = Field(default_factory=dict)
    """What a team may have at a time, as JSON: {"vision": {"cores": 8, "gpus": 1, "queued_runs": 100}}; "*": the others."""
    queue_window: int = Field(default=500, ge=10)
    """Of a longer queue, the scheduler looks at so many runs at a time: each team's first, and a part that moves on with each look."""
    seed: int | None = None
    """Seed of every random choice; None: from the system."""

    tick_seconds: float = Field(default=1.0, gt=0)
    """How long a service sleeps at most before it looks at the rows again."""
    heartbeat_seconds: float = Field(default=1.0, gt=0)
    lease_seconds: float = Field(default=10.0, gt=0)
    """An attempt whose agent was not heard for so long is LOST."""
    monitor_seconds: float = Field(default=2.0, gt=0)
    """How long the monitor sleeps between two looks at the nodes."""
    staleness_seconds: float = Field(default=60.0, gt=0)
    """A figure older than this is unknown."""
    placement_batch: int = Field(default=100, ge=1)
    max_body_mib: int = Field(default=8, ge=1)
    max_dataset_mib: int = Field(default=2048, ge=1)
    max_log_mib: int = Field(default=5, ge=1)
    max_tasks_per_run: int = Field(default=2000, ge=1)

    log_level: str = "INFO"
    log_format: str = "json"

    @model_validator(mode="after")
    def _with_passwords(self) -> Self:
        if self.database_password_file is not None:
            self.database_url = with_password(self.database_url, self.database_password_file)
        if self.redis_password_file is not None:
            self.redis_url = with_password(self.redis_url, self.redis_password_file)
        return self

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def node_clock(self) -> timedelta:
        return timedelta(seconds=self.node_clock_seconds)

    @property
    def staleness(self) -> timedelta:
        return timedelta(seconds=self.staleness_seconds)

    @property
    def ageing(self) -> timedelta:
        return timedelta(seconds=self.ageing_seconds)

    @property
    def tick(self) -> timedelta:
        return timedelta(seconds=self.tick_seconds)


def read_settings() -> Settings:
    """The settings of this process, from its environment.

    Raises:
        SystemExit: A variable breaks a rule. Says which and what rule, but no value: some are passwords.
    """
    try:
        return Settings()
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise SystemExit("\n".join(_fault(item["loc"], item["msg"]) for item in found)) from None


def _fault(place: Sequence[int | str], rule: str) -> str:
    if not place:
        return rule.removeprefix("Value error, ")
    name = str(place[0])
    # A field with a name of its own in the environment is named by that.
    variable = name if name.isupper() else f"NODEWISE_{name.upper()}"
    return f"the environment variable {variable}: {rule}"


def with_password(url: str, file: Path) -> str:
    """The URL with the password in that file, unless it has one.

    Raises:
        ValueError: The file cannot be read, or holds nothing.
    """
    parts = urlsplit(url)
    if parts.password is not None:
        return url
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the password file {file} cannot be read: {error}") from error
    if not password:
        raise ValueError(f"the password file {file} is empty")
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()


def without_password(url: str) -> str:
    """The URL as it may be shown: the user is told, no password, and none of the options, of which one may be another."""
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    user, at, host = place.rpartition("@")
    name = user.partition(":")[0]
    return f"{scheme}{separator}{name}{at if name else ''}{host}{slash}{path}"


def home_from(start: Path) -> Path:
    """The `.nodewise` folder that belongs to `start`: in it or in the nearest parent that has one, else in `start`."""
    for folder in (start, *start.parents):
        if (folder / ".nodewise" / "stack.json").is_file():
            return folder / ".nodewise"
    return start / ".nodewise"
