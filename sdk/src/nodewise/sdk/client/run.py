"""A handle on one run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nodewise.core.lifecycle import FINAL_RUN_STATES
from nodewise.sdk.client.errors import ApiError, NotReachable, RunFailed
from nodewise.sdk.client.transport import TRY_AGAIN
from nodewise.sdk.models import Event, Finding, Json, RunInfo, SubmittedInfo, TaskInfo

if TYPE_CHECKING:
    from nodewise.sdk.client.http import Client

_POLL_SECONDS = 0.5
_OUTAGE_SECONDS = 60.0
"""So long `wait` puts up with an API that does not answer: the run goes on without it."""


class Run:
    """What the API said last about a run, and what can be done with it. `refresh()` asks again."""

    def __init__(self, client: Client, info: RunInfo) -> None:
        self._client = client
        self.info = info

    def __repr__(self) -> str:
        return f"Run({self.id!r}, name={self.name!r}, state={self.state!r})"

    @property
    def id(self) -> str:
        return self.info["id"]

    @property
    def name(self) -> str:
        return self.info["name"]

    @property
    def state(self) -> str:
        """As last seen."""
        return self.info["state"]

    @property
    def findings(self) -> list[Finding]:
        """Of a run that was just submitted: its tasks that no node can take as the cluster is now; see `Finding`."""
        return cast("SubmittedInfo", self.info).get("findings") or []

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL_RUN_STATES

    @property
    def succeeded(self) -> bool:
        return self.state == "SUCCEEDED"

    def refresh(self) -> Run:
        """Ask again, and return this handle."""
        self.info = self._client.run_info(self.id)
        return self

    def wait(self, *, timeout: float | None = None, progress: bool = True, check: bool = True) -> Run:
        """Wait until the run has ended, and return this handle.

        Args:
            timeout: Seconds to wait at most; None: for ever.
            progress: Draw a bar on a terminal, else print a line to stderr whenever something moved.
            check: Raise if the run did not succeed.

        Raises:
            RunFailed: It ended otherwise than SUCCEEDED, and `check`.
            TimeoutError: It had not ended in time. The run goes on.
            NotReachable: The API did not answer at the beginning, or for a minute. The run goes on.
        """
        from nodewise.sdk.progress import RunProgress  # noqa: PLC0415

        end = None if timeout is None else time.monotonic() + timeout
        with RunProgress(shown=progress) as shown:
            shown.update(self.refresh().info)
            while not self.ended:
                if end is not None and time.monotonic() >= end:
                    raise TimeoutError(f"run {self.id} was still {self.state} after {timeout:g} s")
                self.pause(_POLL_SECONDS)
                shown.update(self._refresh_in_spite_of_outages().info)
        if check and not self.succeeded:
            raise RunFailed(self.info)
        return self

    def _refresh_in_spite_of_outages(self) -> Run:
        patience = time.monotonic() + _OUTAGE_SECONDS
        while True:
            try:
                return self.refresh()
            except NotReachable:
                if time.monotonic() >= patience:
                    raise
            except ApiError as error:
                if error.status not in TRY_AGAIN or time.monotonic() >= patience:
                    raise

    def pause(self, seconds: float) -> None:
        """Let time pass by the client's clock."""
        self._client.sleep(seconds)

    def tasks(self) -> list[TaskInfo]:
        """Every task of the run, in the pipeline's order."""
        return self._client.tasks(self.id)

    def table(self) -> str:
        """The tasks as text: state, node, seconds waited and run, and why that node (or why it waits)."""
        from nodewise.sdk.progress import task_table  # noqa: PLC0415

        return task_table(self.tasks())

    def outputs(self, task: str) -> Json:
        """The output parameters of a task by name (empty until it succeeded)."""
        return next((dict(t["outputs"]["parameters"]) for t in self.tasks() if t["path"] == task), {})

    def artifact(self, task: str, name: str, destination: str | os.PathLike[str] | None = None) -> Path:
        """Bring an artifact of a task (a model, say) here; see `Client.artifact`."""
        return self._client.artifact(self.id, task, name, destination)

    def logs(self, task: str, *, attempt: int | None = None) -> str:
        """What the task wrote, of its latest attempt or the one given."""
        return self._client.logs(self.id, task, attempt=attempt)

    def explain(self, task: str | None = None) -> Json:
        """Every task, or one, with every attempt, and why it waits; see `Client.explain`."""
        return self._client.explain(self.id, task)

    def events(self) -> Iterator[Event]:
        """Every change of state from the beginning, until the run has ended."""
        return self._client.events(self.id)

    def cancel(self) -> Run:
        """Ask for the run to end; it is CANCELED a little later.

        Raises:
            ApiError: 409, it has already ended.
        """
        self.info = self._client.cancel(self.id).info
        return self

    def retry(self) -> Run:
        """Try it again, as a new run, which is returned; see `Client.retry`.

        Raises:
            ApiError: 409, it has not ended, or it has succeeded.
        """
        return self._client.retry(self.id)

    def archive(self, *, archived: bool = True) -> Run:
        """Put it away, or take it back; see `Client.archive`.

        Raises:
            ApiError: 409, it has not ended.
        """
        self.info = self._client.archive(self.id, archived=archived).info
        return self
