"""`stack.json`: what runs in a home, for clients, for `down`, and for the next `up`."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from nodewise.stack.process import ProcessId


class Phase(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """One process as it last started. `stop_signal` is the one that ends it gracefully."""

    id: ProcessId
    stop_signal: int
    port: int | None = None
    restarts: int = 0

    def to_json(self) -> dict[str, object]:
        return {
            "pid": self.id.pid, "created": self.id.created, "port": self.port,
            "restarts": self.restarts, "stop_signal": self.stop_signal,
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            id=ProcessId(pid=int(value["pid"]), created=float(value["created"])),
            stop_signal=int(value["stop_signal"]),
            port=value.get("port"),
            restarts=int(value.get("restarts", 0)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """Addresses survive a stop: the ports are used again, and a client can say what it looked for."""

    phase: Phase
    api_url: str
    monitor_url: str
    database_url: str
    redis_url: str
    store_url: str
    started_at: datetime
    supervisor: ProcessId | None = None
    processes: Mapping[str, ProcessState] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)

    def stopped(self) -> "StackState":
        return replace(self, phase=Phase.STOPPED, supervisor=None, processes={})

    def to_json(self) -> dict[str, object]:
        return {
            "phase": self.phase.value,
            "api_url": self.api_url,
            "monitor_url": self.monitor_url,
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "store_url": self.store_url,
            "started_at": self.started_at.isoformat(),
            "supervisor_pid": self.supervisor.pid if self.supervisor else None,
            "supervisor_created": self.supervisor.created if self.supervisor else None,
            "processes": {name: process.to_json() for name, process in self.processes.items()},
            "ports": dict(self.ports),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        pid = value.get("supervisor_pid")
        return cls(
            phase=Phase(value["phase"]),
            api_url=value["api_url"],
            monitor_url=value["monitor_url"],
            database_url=value["database_url"],
            redis_url=value["redis_url"],
            store_url=value["store_url"],
            started_at=datetime.fromisoformat(value["started_at"]),
            supervisor=ProcessId(pid=pid, created=value["supervisor_created"]) if pid else None,
            processes={n: ProcessState.from_json(p) for n, p in value["processes"].items()},
            ports={name: int(port) for name, port in value["ports"].items()},
        )


def state_path(home: Path) -> Path:
    return home / "stack.json"


def load_state(home: Path) -> StackState | None:
    """The state of a home; None when there is none that can be read (a file cut short counts as none)."""
    try:
        return StackState.from_json(json.loads(state_path(home).read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save_state(home: Path, state: StackState) -> None:
    """Replace the file at once, readable by its owner only: the addresses carry passwords."""
    temporary = home / f"stack.json.{os.getpid()}"
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(state.to_json(), file, indent=2)
        temporary.replace(state_path(home))
    finally:
        temporary.unlink(missing_ok=True)
