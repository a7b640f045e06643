"""What `nodewise up` tells while it starts: to a terminal, or through a pipe to the process that detached it."""

import json
import os
from typing import Protocol

from rich.console import Console
from rich.text import Text

from nodewise.core.settings import without_password
from nodewise.stack.state import StackState


class Reporter(Protocol):
    """Takes what happens, in order: lines, then one of ready or failed, then lines again."""

    def line(self, text: str) -> None: ...

    def ready(self, state: StackState) -> None: ...

    def failed(self, error: str) -> None: ...


class TerminalReporter:
    """For a person. `detached`: the stack goes on without this process."""

    def __init__(self, console: Console, errors: Console, *, detached: bool = False) -> None:
        self._console = console
        self._errors = errors
        self._stop = "`nodewise down` stops it." if detached else "Ctrl-C stops it."

    def line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def ready(self, state: StackState) -> None:
        for name, value in addresses(state).items():
            # Neither wrapped nor shortened: people copy these.
            line = Text.assemble((f"{name:<10}", "bold"), value)
            self._console.print(line, soft_wrap=True)
        self.line(f"Nodewise is ready. {self._stop}")

    def failed(self, error: str) -> None:
        self._errors.print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)


class PipeReporter:
    """For the detached supervisor: JSON lines to `pipe` until it is ready or failed, and all to its log."""

    def __init__(self, pipe: int, log: Console) -> None:
        self._pipe: int | None = pipe
        self._log = log

    def line(self, text: str) -> None:
        self._log.print(text, highlight=False, markup=False, soft_wrap=True)
        self._send("line", text)

    def ready(self, state: StackState) -> None:
        self._send("ready", json.dumps(state.to_json()))
        self._close()

    def failed(self, error: str) -> None:
        self._log.print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        self._send("failed", error)
        self._close()

    def _send(self, kind: str, text: str) -> None:
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, json.dumps([kind, text]).encode() + b"\n")
        except OSError:
            # Who detached us is gone; we serve all the same.
            self._close()

    def _close(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def addresses(state: StackState) -> dict[str, str]:
    """What a newcomer needs, by name: where everything is, without passwords."""
    agents = sum(name.startswith("agent-") for name in state.processes)
    placers = sum(name.startswith("placer-") for name in state.processes)
    return {
        "API": f"{state.api_url}  (docs: {state.api_url}/docs)",
        "Monitor": state.monitor_url,
        "Postgres": without_password(state.database_url),
        "Redis": without_password(state.redis_url),
        "Store": without_password(state.store_url),
        "Runs": f"{_count(agents, 'agent')}, {_count(placers, 'placer')}",
    }


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
