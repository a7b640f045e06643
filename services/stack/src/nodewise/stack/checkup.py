"""The doctor's look at a stack: is it what `stack.json` says, does everything answer, are its figures fresh?"""

import http.client
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nodewise.core.settings import without_password
from nodewise.stack.findings import Finding, fail, ok, warn
from nodewise.stack.health import get, nodes, problem
from nodewise.stack.keys import key_file, key_in, key_problem
from nodewise.stack.lock import running_supervisor
from nodewise.stack.ports import is_free
from nodewise.stack.probes import HttpProbe, PostgresProbe, Probe, RedisProbe
from nodewise.stack.process import find
from nodewise.stack.state import ProcessState, StackState, load_state, state_path

_REFUSED = re.compile(r'^nodewise_node_messages_refused_total\{reason="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)


def examine_stack(home: Path) -> Iterator[Finding]:
    """What runs in `home`."""
    state = load_state(home)
    supervisor = running_supervisor(home)
    if state is None:
        yield _no_state(home)
    elif supervisor is None and state.supervisor is not None:
        yield fail(
            "stack", "its supervisor is gone", "`nodewise down` cleans up, `nodewise up` starts it again"
        )
    elif supervisor is None:
        yield ok("stack", "not running; `nodewise up` starts it")
        yield from _ports(state)
    else:
        yield ok("stack", f"{state.phase} since {state.started_at:%Y-%m-%d %H:%M:%S} UTC (pid {supervisor})")
        yield from _running(home, state)


def _no_state(home: Path) -> Finding:
    if state_path(home).exists():
        return fail("stack", f"{state_path(home)} cannot be read", "delete that file, then `nodewise up`")
    return ok("stack", "never started here; `nodewise up` starts it")


def _ports(state: StackState) -> Iterator[Finding]:
    taken = sorted(port for port in state.ports.values() if not is_free(port))
    if taken:
        text = f"{', '.join(map(str, taken))} of last time taken by another program"
        yield warn("ports", text, "the next `nodewise up` chooses others")
    else:
        yield ok("ports", "those of last time are free")


def _running(home: Path, state: StackState) -> Iterator[Finding]:
    for name, process in state.processes.items():
        yield _process(home, name, process)
    database, redis = PostgresProbe(state.database_url), RedisProbe(state.redis_url)
    api, monitor = HttpProbe(f"{state.api_url}/readyz"), HttpProbe(f"{state.monitor_url}/healthz")
    yield _answers("database", without_password(state.database_url), database, log=_log(home, "postgres"))
    yield _answers("redis", without_password(state.redis_url), redis, log=_log(home, "valkey"))
    yield _answers("api", state.api_url, api, log=_log(home, "api"))
    yield _answers("monitor", state.monitor_url, monitor, log=_log(home, "monitor"))
    yield ok("store", without_password(state.store_url))
    yield from _keys(home, state)
    yield from _nodes(home, state)
    yield from _refused(home, state)


def _process(home: Path, name: str, process: ProcessState) -> Finding:
    if find(process.id) is None:
        return fail(name, "not alive", f"it should be back in seconds; if not, read {_log(home, name)}")
    if process.restarts:
        text = f"alive (pid {process.id.pid}), restarts: {process.restarts}"
        return warn(name, text, f"read {_log(home, name)}")
    return ok(name, f"alive (pid {process.id.pid})")


def _answers(subject: str, address: str, probe: Probe, *, log: Path) -> Finding:
    trouble = problem(probe)
    if trouble:
        return fail(subject, f"{address}: {trouble}", f"read {log}")
    return ok(subject, f"{address} answers")


def _log(home: Path, name: str) -> Path:
    return home / "logs" / f"{name}.log"


def _keys(home: Path, state: StackState) -> Iterator[Finding]:
    """Whether the API wants keys, and takes the one of this home."""
    who = f"{state.api_url}/v1/whoami"
    if problem(HttpProbe(who)) is None:
        text = "NODEWISE_AUTH is off: whoever reaches the API may do everything"
        yield warn("keys", text, "start it without NODEWISE_AUTH=off")
        return
    broken = key_problem(home)
    if broken is not None:
        yield fail("keys", broken.problem, broken.advice)
        return
    try:
        get(who, key=key_in(home))
    except (OSError, http.client.HTTPException) as error:
        yield fail("keys", f"{key_file(home)}: {error}", "if it was replaced, start the stack again")
    else:
        yield ok("keys", f"wanted; the admin's is in {key_file(home)}")


def _nodes(home: Path, state: StackState) -> Iterator[Finding]:
    try:
        found = nodes(state.api_url, key_in(home))
    except (OSError, ValueError, http.client.HTTPException) as error:
        yield fail("nodes", f"cannot be read: {error}", "see the api above")
        return
    ready = [node for node in found if node["state"] == "READY"]
    if not ready:
        yield fail(
            "nodes", "none is READY", "start one with `nodewise agent`, or more with `nodewise up --agents`"
        )
    else:
        yield ok("nodes", f"{len(ready)} READY: {_named(ready)}")
    cordoned = [node for node in ready if node.get("cordoned_at")]
    if cordoned:
        yield warn(
            "nodes", f"cordoned, so taking nothing new: {_named(cordoned)}", "`nodewise nodes uncordon NODE`"
        )
    yield from (_not_ready(node) for node in found if node["state"] != "READY")
    yield from (finding for node in ready for finding in _stale(node))


def _named(found: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted(str(node["name"]) for node in found))


def _refused(home: Path, state: StackState) -> Iterator[Finding]:
    """Whether the recorder was spoken to in the name of a node by somebody whom it does not believe."""
    host, port = urlsplit(state.monitor_url).hostname, state.ports.get("recorder", 0)
    try:
        text = get(f"http://{host}:{port}/metrics").decode(errors="replace")
    except (OSError, http.client.HTTPException):
        # That it does not answer is said above.
        return
    found = [f"{reason} {float(number):g}" for reason, number in _REFUSED.findall(text) if float(number)]
    if found:
        said = f"refused since the recorder's start, by reason: {', '.join(found)}"
        yield warn(
            "node keys", said, f"{_log(home, 'recorder')} names the nodes; docs/access.md says what to do"
        )


def _not_ready(node: Mapping[str, Any]) -> Finding:
    text = f"{node['state']}, last seen {node['last_seen_at']}"
    return warn(str(node["name"]), text, "it is used again when its agent reports")


def _stale(node: Mapping[str, Any]) -> Iterator[Finding]:
    observation = node.get("observation") or {}
    stale = sorted(n for n, figure in observation.items() if figure is None or not figure.get("fresh", False))
    if stale or not observation:
        text = f"figures unknown or stale: {', '.join(stale) or 'all'}"
        yield warn(str(node["name"]), text, "decisions do without them; if it lasts, see the monitor's log")
