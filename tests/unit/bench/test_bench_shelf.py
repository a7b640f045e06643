"""An interrupted measurement goes on where it was, as long as the code is the same."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.placement import shelf
from bench.placement.pool import each


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    shelf.resume_from(tmp_path)
    yield tmp_path
    shelf._shelf = None


def said(job: tuple[str, str]) -> str:
    """Notes that it was asked."""
    file, what = job
    with Path(file).open("a") as log:
        log.write(f"{what}\n")
    return what.upper()


def test_what_was_found_is_not_asked_again(folder: Path) -> None:
    log = str(folder / "log")
    assert each(said, [(log, "a"), (log, "b")]) == ["A", "B"]
    shelf.resume_from(folder)
    assert each(said, [(log, "b"), (log, "c"), (log, "a")]) == ["B", "C", "A"]
    assert sorted(Path(log).read_text().split()) == ["a", "b", "c"]


def test_other_code_starts_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shelf.kept("x", lambda: 1) == 1
    assert shelf.kept("x", lambda: 2) == 1
    monkeypatch.setattr(shelf, "digest", lambda: "other")
    shelf.resume_from(folder)
    assert shelf.kept("x", lambda: 3) == 3


def test_without_a_shelf_all_is_found_anew() -> None:
    assert [shelf.kept("x", lambda: 1), shelf.kept("x", lambda: 2)] == [1, 2]


LOADED = """
import sys
import bench.placement.__main__
from nodewise.core import plugins
plugins.policies(), plugins.strategies(), plugins.presets()
print(*{module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)}, sep="\\n")
"""


def test_all_code_of_ours_that_the_benchmark_loads_counts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=shelf.ROOT, capture_output=True, text=True, check=True
    )
    ours = {
        Path(line)
        for line in done.stdout.splitlines()
        if Path(line).is_relative_to(shelf.ROOT) and "site-packages" not in line
    }
    assert shelf.ROOT / "services/scheduler/src/nodewise/scheduler/policies/balanced.py" in ours
    assert ours - set(shelf.sources()) <= {shelf.ROOT / "bench/__init__.py"}
