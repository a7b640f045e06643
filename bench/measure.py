"""Timing, growth, and the file that a benchmark leaves."""

import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from types import MappingProxyType

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("nodewise-core", "sqlalchemy", "psycopg", "celery")


class BenchFailed(Exception):
    """A run did not end well, or a target was missed."""


def seconds(action: Callable[[], object], *, repeats: int = 3) -> float:
    """Median wall time of `action` over `repeats` calls, in seconds."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return median(taken)


def growth(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The exponent b of time = a * size**b, by least squares on logarithms. 1 is linear."""
    xs, ys = [math.log(size) for size in sizes], [math.log(max(t, 1e-9)) for t in times]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


def save(
    name: str,
    figures: object,
    *,
    command: str | None = None,
    packages: Sequence[str] = _PACKAGES,
    others: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write the figures with what they were measured on; return the file.

    Args:
        name: Of the file.
        figures: Anything that JSON knows, and dataclasses.
        command: What was typed (None: `python -m bench NAME`).
        packages: Whose versions matter.
        others: Versions of packages that are installed elsewhere.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    environment = {
        "command": command or f"python -m bench {name}",
        "python": sys.version.split()[0],
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": {package: version(package) for package in packages} | dict(others),
    }
    path.write_text(
        json.dumps({"environment": environment, "figures": figures}, indent=1, default=_plain) + "\n",
        encoding="utf-8",
    )
    return path


def _plain(figure: object) -> object:
    if is_dataclass(figure) and not isinstance(figure, type):
        return asdict(figure)
    raise TypeError(f"no figure: {figure!r}")


def _processor() -> str:
    """The model's name where the system tells it."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
