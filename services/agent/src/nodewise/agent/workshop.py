"""What every attempt of an agent works with."""

from dataclasses import dataclass

from nodewise.agent.cache import ArtifactCache
from nodewise.agent.containers import Containers
from nodewise.agent.journal import Journal
from nodewise.agent.logs import LogShipper
from nodewise.agent.options import AgentOptions
from nodewise.agent.spares import Spares
from nodewise.agent.supervision import Watchdog
from nodewise.agent.venvs import Venvs
from nodewise.core.store import ArtifactStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """One for all attempts. `containers` None: this node has no container runtime."""

    options: AgentOptions
    store: ArtifactStore
    cache: ArtifactCache
    venvs: Venvs
    journal: Journal
    watchdog: Watchdog
    shipper: LogShipper
    spares: Spares
    max_log_mib: int
    containers: Containers | None = None
