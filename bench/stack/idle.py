"""Part f: what the whole stack takes of memory and processor while it has nothing to do.

The embedded stack with one agent, as `nodewise up --agents 1` starts it, servers and spare processes included. Memory is the
proportional set size (PSS, from Linux): what processes share is counted once.
"""

import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil

from bench.measure import save
from bench.stack.report import Target, judge, show
from bench.stack.serving import OPEN
from tests.support.stack import RunningStack

SETTLING_SECONDS = 15.0
SECONDS = 60.0
MOST_MB = 700.0
MOST_PERCENT = 3.0


def run() -> None:
    """Measure, print, save, judge."""
    with tempfile.TemporaryDirectory(prefix="nodewise-bench-") as folder:
        stack = RunningStack(home=Path(folder) / "home", agents=1, env=OPEN).start()
        try:
            time.sleep(SETTLING_SECONDS)
            found = _measured(stack)
        finally:
            stack.stop()
    rows = [
        (name, f"{megabytes:.0f}", f"{percent:.2f}") for name, (megabytes, percent) in sorted(found.items())
    ]
    megabytes, percent = (sum(each[place] for each in found.values()) for place in (0, 1))
    show(
        f"f. idle for {SECONDS:.0f} s",
        ("process (with its children)", "MB (PSS)", "% of one core"),
        [*rows, ("all", f"{megabytes:.0f}", f"{percent:.2f}")],
    )
    targets = (
        Target(what="memory of the idle stack, MB", value=megabytes, at_most=MOST_MB),
        Target(what="processor of the idle stack, % of one core", value=percent, at_most=MOST_PERCENT),
    )
    save("stack_idle", {"processes": found, "targets": targets}, command="python -m bench.stack idle")
    judge(targets)


def _measured(stack: RunningStack) -> dict[str, tuple[float, float]]:
    """Megabytes and percent of a core, by the name of each process of the stack."""
    roots = {name: psutil.Process(process.id.pid) for name, process in stack.state.processes.items()}
    roots["supervisor"] = psutil.Process(int((stack.home / "supervisor.pid").read_text().split()[0]))
    families = _families(roots)
    before = {process: _cpu(process) for family in families.values() for process in family}
    time.sleep(SECONDS)
    found: dict[str, tuple[float, float]] = {}
    for name, family in families.items():
        alive = [process for process in family if process.is_running()]
        memory = sum(process.memory_full_info().pss for process in alive) / 1e6
        busy = sum(_cpu(process) - before[process] for process in alive)
        found[name] = (memory, 100 * busy / SECONDS)
    return found


def _families(roots: dict[str, psutil.Process]) -> dict[str, list[psutil.Process]]:
    """Each process with its descendants, but those that are named themselves."""
    named = {process.pid for process in roots.values()}
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    for name, root in roots.items():
        pending = [root]
        while pending:
            process = pending.pop()
            found[name].append(process)
            pending += [child for child in process.children() if child.pid not in named]
    return found


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
