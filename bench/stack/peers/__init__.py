"""Other people's systems that run tasks, driven by scripts in an environment of their own (`.venv-peers`).

Their dependencies may contradict ours, so nothing of theirs is imported here: a script starts its system, measures, ends
it, and prints one JSON object: `figures`, and the `versions` of what it measured.
"""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
_HERE = Path(__file__).parent
_SHOWN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerResult:
    """What a script found, or in words why there is no figure of that peer."""

    figures: Mapping[str, Any] | None
    versions: Mapping[str, str] = field(default_factory=dict)
    left_out: str = ""


def ask(script: str, *arguments: str, folder: Path, seconds: float = 600.0) -> PeerResult:
    """Run a script of this folder in the peers' environment; whatever goes wrong there is told, not raised.

    Args:
        script: Its name.
        arguments: What it is given.
        folder: It may write there.
        seconds: How long it may take.
    """
    if not PYTHON.exists():
        return _left_out(
            script, "the peers are not installed; `make bench-stack` installs them into .venv-peers"
        )
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONPATH", "PREFECT"))}
    command = [str(PYTHON), "-W", "ignore", str(_HERE / script), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, start_new_session=True,
        env=env | {"HOME": str(folder), "PREFECT_HOME": str(folder / "prefect")},
    ) as process:  # fmt: skip
        try:
            said, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return _left_out(script, f"no answer in {seconds:g} s")
        finally:
            _end_group(process.pid)
    if process.returncode:
        return _left_out(script, f"it ended with {process.returncode}: {errors.strip()[-_SHOWN:]}")
    found = json.loads(said.strip().splitlines()[-1])
    return PeerResult(figures=found["figures"], versions=found["versions"])


def _left_out(script: str, why: str) -> PeerResult:
    print(f"LEFT OUT {script}: {why}")
    return PeerResult(figures=None, left_out=why)


def _end_group(group: int) -> None:
    """Whatever the script has started is in its group, and ends with it."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
