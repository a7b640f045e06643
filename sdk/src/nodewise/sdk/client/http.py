"""The client of the HTTP API."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import quote

from nodewise.core.model.trace import VARIABLE, read_traceparent
from nodewise.sdk.client.audits import whole_audit
from nodewise.sdk.client.download import download
from nodewise.sdk.client.events import follow
from nodewise.sdk.client.keys import Keyholding
from nodewise.sdk.client.paging import every_item
from nodewise.sdk.client.pruning import Pruning
from nodewise.sdk.client.run import Run
from nodewise.sdk.client.schedules import Scheduling
from nodewise.sdk.client.submission import body_of
from nodewise.sdk.client.transport import Request, Transport
from nodewise.sdk.client.upload import as_upload
from nodewise.sdk.discovery import find_key, find_url
from nodewise.sdk.models import Event, Json, Plan, RunInfo, TaskInfo

if TYPE_CHECKING:
    import httpx


class Client(Scheduling, Keyholding, Pruning):
    """Submits pipelines and follows them. Close it, or use it as a context manager; safe to share between threads.

    Calls that can be repeated without harm (all of them: a submission carries an idempotency key) are tried again on
    connection errors, 429 and 502 to 504, with growing pauses, or as long as the answer asks for.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 5,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect lazily; nothing is sent yet.

        Args:
            url: The API's address; None: NODEWISE_URL, else the stack in this folder or above.
            api_key: With which key; None: NODEWISE_API_KEY, else the file that NODEWISE_API_KEY_FILE names, else, if that
                address is of the stack in this folder or above, the one in its home. It is sent to that address only.
            timeout: Seconds for one try of one call.
            retries: How often a call is tried again.
            transport: Something else than the network: the seam for tests.
            sleep: Something else than `time.sleep`, for tests.

        Raises:
            NoStack: Nothing says where the API is.
            NoKey: The file with the key cannot be read.
        """
        self.url = find_url(url)
        self.sleep = sleep
        self._transport = Transport(
            self.url, api_key=find_key(self.url, api_key), timeout=timeout, retries=retries, transport=transport,
            sleep=sleep,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def submit(  # noqa: PLR0913 (what a submission can say; all but the target by name)
        self,
        target: object,
        /,
        *,
        parameters: Mapping[str, Any] | None = None,
        name: str | None = None,
        policy: str | None = None,
        strategy: str | None = None,
        priority: int | None = None,
        deadline: datetime | timedelta | str | None = None,
        team: str | None = None,
        labels: Mapping[str, str] | None = None,
        cache: bool | None = None,
        engine: str | None = None,
        idempotency_key: str | None = None,
        **params: Any,
    ) -> Run:
        """Submit a pipeline and return at once. Where the environment has a `TRACEPARENT`, the run is a part of that trace.

        Args:
            target: A pipeline, a `CompiledPipeline`, a `kfp` pipeline or component, the path of a compiled file, `file.py`
                with one pipeline, or `file.py:name`.
            parameters: Values for the pipeline's parameters; may also be given as keyword arguments.
            name: Name of the run; by default the pipeline's.
            policy: In which order its tasks are considered; by default the stack's.
            strategy: How nodes are chosen, or a preset (policy and strategy by one name).
            priority: Higher goes first under the policy `priority`.
            deadline: When it should be done: a time, a duration from now, or text such as `2h` or RFC 3339.
            team: On whose account.
            labels: Free text to find it by.
            cache: False: run every task anew, whatever its author said of caching.
            engine: Where it runs: `agents`, `kubernetes` for Jobs of a cluster, or `kubeflow` for Kubeflow Pipelines; by default the stack's.
            idempotency_key: Submitting twice with the same key makes one run; by default a fresh one.
            params: More parameters, by name; one whose name is taken above goes into `parameters`.

        Raises:
            ApiError: The API refused it; says the field and the rule.
            NotReachable: No answer. Submitting again with the same key is safe.
            InvalidPipeline: The file or function is not a pipeline.
        """
        body = body_of(
            target, {**(parameters or {}), **params}, deadline=deadline, name=name, policy=policy, strategy=strategy,
            priority=priority, team=team, labels=dict(labels or {}), cache=cache, engine=engine,
        )  # fmt: skip
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        if trace := read_traceparent(os.environ.get(VARIABLE)):
            headers["traceparent"] = trace
        return Run(self, cast("RunInfo", self._json("POST", "/v1/runs", json=body, headers=headers)))

    def plan(  # noqa: PLR0913 (as `submit`)
        self,
        target: object,
        /,
        *,
        parameters: Mapping[str, Any] | None = None,
        policy: str | None = None,
        strategy: str | None = None,
        priority: int | None = None,
        deadline: datetime | timedelta | str | None = None,
        team: str | None = None,
        **params: Any,
    ) -> Plan:
        """Ask what would become of a pipeline if it were submitted now; nothing is stored, and nothing booked.

        Takes what `submit` takes.

        Returns:
            The expected node, start and end of each task, each with an 80 % interval, and how good the plan is.

        Raises:
            ApiError: The API would refuse it; says the field and the rule.
            NotReachable: No answer.
            InvalidPipeline: The file or function is not a pipeline.
        """
        body = body_of(
            target, {**(parameters or {}), **params}, deadline=deadline, policy=policy, strategy=strategy,
            priority=priority, team=team,
        )  # fmt: skip
        return cast("Plan", self._json("POST", "/v1/plans", json=body))

    def get(self, run_id: str) -> Run:
        """The run of that id.

        Raises:
            ApiError: 404, there is none.
        """
        return Run(self, self.run_info(run_id))

    def run_info(self, run_id: str) -> RunInfo:
        """The run of that id, as the API says it."""
        return cast("RunInfo", self._json("GET", _run(run_id)))

    def runs(
        self,
        *,
        state: str | None = None,
        team: str | None = None,
        label: str | None = None,
        schedule: str | None = None,
        archived: bool = False,
        limit: int | None = None,
    ) -> Iterator[Run]:
        """Runs, newest first, page by page as you iterate; at most `limit`. `label` is `key:value`, `schedule` an id.

        `archived`: those that were put away, else those that were not.
        """
        params = {"state": state, "team": team, "label": label, "schedule": schedule}
        params |= {"archived": "true"} if archived else {}
        for info in every_item(self._json, "/v1/runs", params, limit=limit):
            yield Run(self, cast("RunInfo", info))

    def wait(self, run_id: str, *, timeout: float | None = None, progress: bool = True) -> Run:
        """Wait until the run has ended; see `Run.wait`."""
        return self.get(run_id).wait(timeout=timeout, progress=progress)

    def tasks(self, run_id: str) -> list[TaskInfo]:
        """The tasks of a run, in the pipeline's order."""
        return cast("list[TaskInfo]", self._json("GET", f"{_run(run_id)}/tasks")["items"])

    def events(self, run_id: str, *, after: str | None = None) -> Iterator[Event]:
        """Every change of state of a run (those after the event `after`), until it has ended; survives reconnects."""
        return follow(self._transport, f"{_run(run_id)}/events", after=after)

    def explain(self, run_id: str, task: str | None = None) -> Json:
        """A run's tasks, or one of them, with every attempt (what each candidate would have cost) and, while it waits,
        what it waits for, what each node lacks, and what would change it.
        """
        return self._json("GET", f"{_run(run_id)}/explain", params={"task": task})

    def cancel(self, run_id: str) -> Run:
        """Ask for a run to end.

        Raises:
            ApiError: 409, it has already ended.
        """
        return Run(self, cast("RunInfo", self._json("POST", f"{_run(run_id)}/cancel")))

    def retry(self, run_id: str, *, idempotency_key: str | None = None) -> Run:
        """Try a run again that failed or was canceled, as a new run, which is returned. Results that may be reused are.

        Raises:
            ApiError: 409, it has not ended, or it has succeeded.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return Run(self, cast("RunInfo", self._json("POST", f"{_run(run_id)}/retry", headers=headers)))

    def archive(self, run_id: str, *, archived: bool = True) -> Run:
        """Put a run away that has ended, so that lists leave it out, or take it back.

        Raises:
            ApiError: 409, it has not ended.
        """
        verb = "archive" if archived else "unarchive"
        return Run(self, cast("RunInfo", self._json("POST", f"{_run(run_id)}/{verb}")))

    def logs(self, run_id: str, task: str, *, attempt: int | None = None) -> str:
        """What a task wrote, of its latest attempt or the one given."""
        path = f"{_run(run_id)}/tasks/{quote(task, safe='')}/logs"
        request = Request(method="GET", path=path, params={"attempt": attempt})
        return self._transport.send(request).text

    def artifact(
        self, run_id: str, task: str, name: str, destination: str | os.PathLike[str] | None = None
    ) -> Path:
        """Bring an artifact that a task left here, block by block: a file as it is, a directory as a tar.

        Args:
            run_id: The run.
            task: The task's path.
            name: Of the artifact, as in `tasks()[...]["outputs"]["artifacts"]`.
            destination: A file, which is replaced, or a folder that exists; by default this folder.

        Returns:
            The file: in a folder it is called like the artifact, with `.tar` for a directory.

        Raises:
            ApiError: 404, there is none; 409, the task put it elsewhere (the message names its address).
            CannotWrite: The destination cannot be written.
        """
        path = f"{_run(run_id)}/tasks/{quote(task, safe='')}/artifacts/{quote(name, safe='')}"
        return download(self._transport, path, destination=Path(destination or "."), fallback="artifact")

    def nodes(self) -> list[Json]:
        """The nodes: what they are, what is booked and free, what was measured and how long ago."""
        return self._items("/v1/nodes")

    def cordon(self, node: str) -> Json:
        """Let a node take nothing new; what it runs goes on. For operators.

        Raises:
            ApiError: 404, there is none of that name.
        """
        return self._json("POST", f"/v1/nodes/{quote(node, safe='')}/cordon")

    def uncordon(self, node: str) -> Json:
        """Let it take tasks again.

        Raises:
            ApiError: 404, there is none of that name.
        """
        return self._json("POST", f"/v1/nodes/{quote(node, safe='')}/uncordon")

    def queue(self) -> Json:
        """What waits, in order, and why: `counts` and `items`."""
        return self._json("GET", "/v1/queue")

    def quotas(self) -> list[Json]:
        """Limits and use of this key's team, or of all teams."""
        return self._items("/v1/quotas")

    def strategies(self) -> Json:
        """The strategies (`items`) and the presets (`presets`)."""
        return self._json("GET", "/v1/strategies")

    def policies(self) -> list[Json]:
        """The policies."""
        return self._items("/v1/policies")

    def summary(self) -> Json:
        """The figures of the report, over all runs."""
        return self._json("GET", "/v1/reports/summary")

    def audit(self, *, since: datetime | None = None) -> Json:
        """Check what is on record: how much was looked at, and `findings`, which should be none.

        Args:
            since: Only runs submitted, and room held, since then; by default in the last 24 hours.
        """
        return whole_audit(self._json, since=since)

    def datasets(self) -> list[Json]:
        """The registered data sets."""
        return self._items("/v1/datasets")

    def put_dataset(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        kind: str | None = None,
        classes: int | None = None,
        normalised: bool | None = None,
    ) -> Json:
        """Measure a file or folder and register it under `name`; tasks that name it get it staged.

        Args:
            name: What tasks call it.
            path: CSV, TSV, NumPy, Parquet, JSON lines, or a folder of images (sent as one tar).
            kind: `tabular` or `images`; by default what it looks like.
            classes: How many classes, where that cannot be seen in the data.
            normalised: Whether images are already floats.

        Raises:
            NoSuchFile: There is nothing at `path`.
        """
        with as_upload(Path(path), kind=kind, classes=classes, normalised=normalised) as upload:
            return self._json(
                "PUT", f"/v1/datasets/{quote(name, safe='')}", params=upload.params, content=upload.chunks,
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(upload.size_bytes)},
            )  # fmt: skip

    def _items(self, path: str) -> list[Json]:
        return cast("list[Json]", self._json("GET", path)["items"])

    def _json(self, method: str, path: str, **more: Any) -> Json:
        return cast("Json", self._transport.send(Request(method=method, path=path, **more)).json())


def _run(run_id: str) -> str:
    return f"/v1/runs/{quote(run_id, safe='')}"
