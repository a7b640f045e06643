"""The import contracts hold, and a file that breaks one is caught: a check that cannot fail is none."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")


def run_linter(folder: Path, extra_path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINTER), "--config", str(folder / "pyproject.toml"), "--no-cache"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": extra_path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_hold() -> None:
    result = run_linter(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("scheduler/src/nodewise/scheduler/policies/stray.py", "import sqlalchemy"),
        ("scheduler/src/nodewise/scheduler/stray.py", "import nodewise.placer"),
        ("core/src/nodewise/core/model/stray.py", "import redis"),
        ("core/src/nodewise/core/stray.py", "import nodewise.api"),
        ("simulator/src/nodewise/simulator/stray.py", "import nodewise.placer.service"),
        ("placer/src/nodewise/placer/stray.py", "import nodewise.simulator"),
    ],
)
def test_a_breach_is_caught(tmp_path: Path, module: str, line: str) -> None:
    shutil.copytree(ROOT / "services", tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "sdk", tmp_path / "sdk", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    stray = tmp_path / "services" / module
    stray.write_text(line + "\n", encoding="utf-8")
    sources = [str(path) for path in tmp_path.glob("services/*/src")] + [str(tmp_path / "sdk" / "src")]
    result = run_linter(tmp_path, ":".join(sources))
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout
