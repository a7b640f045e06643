"""The HTTP API in memory: as an httpx transport for the client, or on a loopback port for the command line."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

ENDED = {"SUCCEEDED", "FAILED", "CANCELED"}
NOW = "2026-11-20T12:00:00Z"
PREDICTED = {
    "predicted_seconds": 2.0, "predicted_low": 1.5, "predicted_high": 2.6, "prediction_level": 0.8,
    "prediction_basis": "learned", "prediction_samples": 4, "predicted_memory_mib": 90.0, "predicted_memory_low": 70.0,
    "predicted_memory_high": 120.0,
}  # fmt: skip


def run_info(run_id: str, **changes: Any) -> dict[str, Any]:
    """A run as the API answers it."""
    info = {
        "id": run_id, "name": "quickstart", "pipeline": "quickstart", "state": "PENDING", "team": "default",
        "priority": 0, "deadline": None, "policy": "fifo", "strategy": "greedy", "parameters": {}, "labels": {},
        "submitted_at": NOW, "scheduled_at": None, "started_at": None, "finished_at": None,
        "cancel_requested_at": None, "retry_of": None, "archived_at": None, "error": None, "tasks": {"total": 2, "by_state": {"READY": 1, "WAITING": 1}},
    }  # fmt: skip
    return {**info, **changes}


def task_info(run_id: str, path: str, **changes: Any) -> dict[str, Any]:
    """A task as the API answers it."""
    info = {
        "run_id": run_id, "path": path, "component": path, "kind": "training", "task_class": "training/svm",
        "state": "SUCCEEDED", "reason_code": "finished", "reason": None, "attempt": 1, "failures": 0, "node": "n1",
        "strategy": "greedy", "upstream": [], "resources": {"millicores": 1000, "memory_mib": 256, "gpus": 0},
        "effort_flops": 1.5e9, "input_bytes": None, "expected_node": None, "expected_start_at": None,
        "expected_end_at": None, **PREDICTED, "ready_at": NOW, "admitted_at": NOW, "placed_at": NOW,
        "started_at": NOW, "finished_at": NOW, "waited_seconds": 0.5, "ran_seconds": 2.25,
        "why_node": "least loaded", "last_failure": None, "outputs": {"parameters": {"Output": 0.97}, "artifacts": {}},
    }  # fmt: skip
    return {**info, **changes}


def plan_info(**changes: Any) -> dict[str, Any]:
    """What the API answers of a future in which one task follows another."""
    times = ("12:00:00", "12:00:01", "12:00:04", "12:00:03", "12:00:02", "12:00:06")
    names = ("start", "start_low", "start_high", "finish", "finish_low", "finish_high")
    at = {name: f"2026-11-20T{time}Z" for name, time in zip(names, times, strict=True)}
    run = {"run_seconds": 3.0, "run_low": 2.0, "run_high": 6.0, "prediction_basis": "learned"}
    load = {
        "path": "load",
        "node": "n1",
        **at,
        **run,
        "waits_for": [],
        "reason": "n1 has room for it at once",
    }
    late = {"finish": "2026-11-20T12:01:30Z", "finish_high": "2026-11-20T12:02:00Z"}
    fit = {
        **load,
        "path": "fit",
        "node": "n3",
        **late,
        "start": at["finish"],
        "waits_for": ["load"],
        "reason": "after load",
    }
    info = {
        "objective": "balanced", "policy": "fifo", "strategy": "greedy", "planned_at": NOW, "basis": "eft: in the order of fifo",
        "tasks": [load, fit], "start": at["start"], **late, "finish_low": "2026-11-20T12:01:15Z", "makespan_seconds": 95.0,
        "lower_bound_seconds": 90.0, "gap": 0.0556, "optimal": False, "unplannable": [],
        "queue": {"tasks_before": 12, "tasks_running": 3},
    }  # fmt: skip
    return {**info, **changes}


def artifact_info(name: str, kind: str = "Model", **changes: Any) -> dict[str, Any]:
    """An artifact among a task's outputs."""
    uri = "store://file/" + "0" * 64
    info = {"name": name, "uri": uri, "schema_title": f"system.{kind}", "size_bytes": 1536, "metadata": {}}
    return {**info, **changes}


def problem(status: int, title: str, **more: Any) -> httpx.Response:
    """An RFC 9457 answer."""
    body = {"type": "about:blank", "title": title, "status": status, **more}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


class FakeApi:
    """Keeps runs by id, newest first. `faults` are served, one a request, before anything else.

    A run moves on to the next of its `script` of states each time that it is asked for.
    """

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, list[dict[str, Any]]] = {}
        self.scripts: dict[str, list[str]] = {}
        self.by_key: dict[str, str] = {}
        self.answers: dict[str, Any] = {}
        self.texts: dict[str, str] = {}
        self.contents: dict[str, bytes] = {}
        self.datasets: list[dict[str, Any]] = []
        self.faults: list[httpx.Response | Exception] = []
        self.requests: list[httpx.Request] = []
        self.page_size = 2

    def add_run(self, run_id: str, *, states: tuple[str, ...] = ("SUCCEEDED",), **changes: Any) -> None:
        """A run that shows `states` one after another, and two tasks."""
        self.runs = {run_id: run_info(run_id, state=states[0], **changes), **self.runs}
        self.scripts[run_id] = list(states[1:])
        self.tasks.setdefault(run_id, [task_info(run_id, "load"), task_info(run_id, "fit")])

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request; the transport's handler."""
        self.requests.append(request)
        request.read()
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            return fault
        path = request.url.path
        for prefix, answer in self._routes().items():
            if path.startswith(prefix):
                return answer(request, path.removeprefix(prefix).strip("/"))
        return problem(404, "Not Found", detail=f"no {path}")

    def _routes(self) -> dict[str, Callable[[httpx.Request, str], httpx.Response]]:
        return {"/v1/runs": self._runs, "/v1/datasets": self._datasets, "/v1": self._rest}

    def _rest(self, _request: httpx.Request, rest: str) -> httpx.Response:
        return httpx.Response(200, json=self.answers.get(rest, {"items": []}))

    def _datasets(self, request: httpx.Request, name: str) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"items": self.datasets})
        facts = dict(request.url.params)
        stored = {
            "name": name, "kind": facts.get("kind"), "size_bytes": len(request.content),
            "samples": int(facts["samples"]) if "samples" in facts else None,
            "features": int(facts["features"]) if "features" in facts else None,
            "classes": int(facts["classes"]) if "classes" in facts else None,
            "types": json.loads(facts.get("types", "{}")),
        }  # fmt: skip
        self.datasets.append(stored)
        return httpx.Response(201, json=stored)

    def _runs(self, request: httpx.Request, rest: str) -> httpx.Response:
        if not rest:
            return self._submit(request) if request.method == "POST" else self._list(request)
        run_id, _, what = rest.partition("/")
        if run_id not in self.runs:
            return problem(404, "Not Found", detail=f"no run named {run_id!r}")
        return self._one(run_id, what)

    def _one(self, run_id: str, what: str) -> httpx.Response:
        if what == "":
            if self.scripts[run_id]:
                self.runs[run_id]["state"] = self.scripts[run_id].pop(0)
            return httpx.Response(200, json=self.runs[run_id])
        if what == "tasks":
            return httpx.Response(200, json={"items": self.tasks[run_id]})
        if what in ("cancel", "retry", "archive", "unarchive"):
            return self._do(run_id, what)
        if what == "explain":
            answer = {"run": self.runs[run_id], "tasks": self.answers["explain"], "queue": None, "parts": []}
            return httpx.Response(200, json={**answer, **self.answers.get("explain besides", {})})
        if "/artifacts/" in what:
            return self._artifact(what)
        return httpx.Response(200, text=self.texts.get(what, ""))

    def _artifact(self, what: str) -> httpx.Response:
        if what not in self.contents:
            return problem(404, "Not Found", detail=f"there is no artifact {what!r}")
        file = what.rpartition("/")[2]
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{file}"}
        return httpx.Response(200, content=self.contents[what], headers=headers)

    def _do(self, run_id: str, verb: str) -> httpx.Response:
        if verb == "cancel":
            return self._cancel(run_id)
        return self._retry(run_id) if verb == "retry" else self._archive(run_id, archived=verb == "archive")

    def _cancel(self, run_id: str) -> httpx.Response:
        run = self.runs[run_id]
        if run["state"] in ENDED:
            return problem(409, "Conflict", detail=f"run {run_id} has already ended: {run['state']}")
        run["state"] = "CANCELING"
        return httpx.Response(202, json=run)

    def _retry(self, run_id: str) -> httpx.Response:
        if self.runs[run_id]["state"] not in {"FAILED", "CANCELED"}:
            return problem(409, "Conflict", detail=f"run {run_id} is {self.runs[run_id]['state']}")
        self.add_run(f"{run_id}-2", states=("PENDING", "SUCCEEDED"), retry_of=run_id)
        return httpx.Response(202, json=self.runs[f"{run_id}-2"])

    def _archive(self, run_id: str, *, archived: bool) -> httpx.Response:
        run = self.runs[run_id]
        if run["state"] not in ENDED:
            return problem(409, "Conflict", detail=f"the run has not ended: {run['state']}")
        run["archived_at"] = NOW if archived else None
        return httpx.Response(200, json=run)

    def _submit(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["Idempotency-Key"]
        if key not in self.by_key:
            body = json.loads(request.content)
            self.by_key[key] = run_id = f"{len(self.by_key):08x}-0000-4000-8000-000000000000"
            chosen = {
                k: body[k] for k in ("parameters", "labels", "priority", "deadline") if body[k] is not None
            }
            self.add_run(run_id, states=("PENDING", "SUCCEEDED"), name=body["name"] or "quickstart", **chosen)
        run_id = self.by_key[key]
        told = {"findings": self.answers.get("findings", [])}
        return httpx.Response(
            202, json={**self.runs[run_id], **told}, headers={"Location": f"/v1/runs/{run_id}"}
        )

    def _list(self, request: httpx.Request) -> httpx.Response:
        params = request.url.params
        archived = params.get("archived") == "true"
        shown = [run for run in self.runs.values() if (run["archived_at"] is not None) == archived]
        found = [run for run in shown if params.get("state") in (None, run["state"])]
        start, size = int(params.get("cursor", 0)), min(int(params["limit"]), self.page_size)
        following = start + size if start + size < len(found) else None
        page = {"items": found[start : start + size], "next_cursor": following and str(following)}
        return httpx.Response(200, json=page)


@contextmanager
def served(api: FakeApi) -> Iterator[str]:
    """The fake on a loopback port; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = httpx.Request(
                self.command, f"http://api{self.path}", headers=dict(self.headers), content=body
            )
            response = api.handle(request)
            self.send_response(response.status_code)
            self.send_header("Content-Type", response.headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(response.content)))
            if "Content-Disposition" in response.headers:
                self.send_header("Content-Disposition", response.headers["Content-Disposition"])
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 (the names that http.server looks for)

        def log_message(self, *_args: Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
