"""The containers of an agent: what runs in them, how they end, and how those end that nobody knows any more."""

import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil
import structlog

from nodewise.agent import processes
from nodewise.agent.runtime import Container, ContainerRuntime
from nodewise.agent.supervision import Limits, ProcessEnd, TaskProcess, begin
from nodewise.agent.variables import sorted_out
from nodewise.core.model.ids import AttemptKey

AGENT_LABEL: Final = "nodewise.agent"
_SWEEP_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.2
_CLIENT_SECONDS: Final = 10.0
"""How much longer than its container the runtime's client may live."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_log = structlog.get_logger()


def container_name(key: AttemptKey, folder: Path) -> str:
    """A name for the attempt's container that says what it is, and is another one in every other folder."""
    digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    readable = _UNSAFE.sub("-", f"{key.run_id[:8]}-{key.path}")[:60]
    return f"nodewise-{readable}-{key.attempt}-{digest}"


class ContainerProcess(TaskProcess):
    """A container and the runtime's client that waits for it. The client's signals do not reach it: the runtime is asked."""

    def __init__(
        self, runtime: ContainerRuntime, container: Container, *,
        env: Mapping[str, str], cwd: Path, log: Path, limits: Limits,
    ) -> None:  # fmt: skip
        self._runtime = runtime
        self._name = container.name
        self._marked = container.environment.get(processes.MARK)
        self._main_pid: int | None = None
        self._over = threading.Event()
        variables = sorted_out(container.environment)
        self._variables = log.with_name("environment")
        variables.write(self._variables)
        words = runtime.run_words(container, variables.words(self._variables))
        client = begin(words, env={**env, **variables.inherited}, cwd=cwd, log=log)
        super().__init__(client, marks=[env.get(processes.MARK, "")], limits=limits)
        threading.Thread(target=self._look_for_pid, name=f"look-{self._name}", daemon=True).start()

    def wait(self) -> ProcessEnd:
        """Wait for its end, as the runtime tells it, and remove it."""
        try:
            client = super().wait()
            return self._judged(client)
        finally:
            self._over.set()
            self._runtime.remove(self._name)
            self._variables.unlink(missing_ok=True)

    def _judged(self, client: ProcessEnd) -> ProcessEnd:
        end = replace(client, cpu_seconds=None, peak_memory_mib=round(self.peak_mib) or None)
        state = self._runtime.state(self._name)
        if state is None:
            return replace(end, lost=True, trouble="the container runtime did not make the container")
        if not state.started and not state.error:
            text = "the container runtime made the container and did not start it"
            return replace(end, lost=client.stopped is None, trouble=text)
        if state.running:
            text = "the container runtime's client ended before the container"
            return replace(end, lost=client.stopped is None, trouble=text)
        return replace(
            end,
            exit_code=state.exit_code,
            out_of_memory=state.out_of_memory and state.exit_code != 0,
            trouble=state.error or None,
        )

    def _ask_to_end(self, grace: float) -> None:
        self._kill_at = (self._kill_at or 0.0) + _CLIENT_SECONDS
        threading.Thread(target=self._end, args=(grace,), name=f"stop-{self._name}", daemon=True).start()

    def _end(self, grace: float) -> None:
        if not self._runtime.stop(self._name, grace=grace):
            # There is no container yet (and without its client there will be none), or it has just ended.
            processes.end_tree(self.pid)

    def _members(self) -> list[int]:
        return [] if self._main_pid is None else processes.tree(self._main_pid)

    def _look_for_pid(self) -> None:
        """Find its first process, where the runtime is on this machine: else nobody can tell what it uses."""
        while not self._over.wait(_LOOK_SECONDS):
            state = self._runtime.state(self._name)
            if state is not None and state.running and state.pid:
                self._main_pid = state.pid if self._is_ours(state.pid) else None
                return

    def _is_ours(self, pid: int) -> bool:
        try:
            return psutil.Process(pid).environ().get(processes.MARK) == self._marked
        except (psutil.Error, OSError):
            return False


class Containers:
    """Runs containers under one label, and ends whatever has it and is not known here."""

    def __init__(self, runtime: ContainerRuntime, *, agent: str) -> None:
        self.runtime = runtime
        self._agent = agent
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="containers", daemon=True)

    def start(self) -> None:
        """End what an earlier life left, then look again and again."""
        self.sweep()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def run(
        self, container: Container, *, env: Mapping[str, str], cwd: Path, log: Path, limits: Limits
    ) -> ContainerProcess:
        """Start it. Call `forget` when it was waited for.

        Raises:
            OSError: The system does not start the runtime's client.
        """
        with self._lock:
            self._known.add(container.name)
        labelled = replace(container, labels={**container.labels, AGENT_LABEL: self._agent})
        return ContainerProcess(self.runtime, labelled, env=env, cwd=cwd, log=log, limits=limits)

    def forget(self, name: str) -> None:
        with self._lock:
            self._known.discard(name)

    def sweep(self) -> None:
        """End the containers of attempts that are not known here."""
        found = self.runtime.named(AGENT_LABEL, self._agent)
        with self._lock:
            unknown = [name for name in found if name not in self._known]
        for name in unknown:
            _log.info("ending a container that is nobody's", container=name)
            self.runtime.remove(name)

    def _run(self) -> None:
        while not self._stopped.wait(_SWEEP_SECONDS):
            self.sweep()
