"""The seed's client, mlopx as it is published, in an environment of its own (`make .venv-mlopx/.ready`)."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parents[2] / ".venv-mlopx"
_PYTHON = _FOLDER / "bin" / "python"
_READY = _FOLDER / ".ready"


def require_seed_client() -> None:
    """Skip the test where mlopx is not installed; fail it there if NODEWISE_REQUIRE_MLOPX is set."""
    if _READY.is_file():
        return
    missing = f"the seed's client is not installed: run `make {_FOLDER.name}/.ready`"
    if os.environ.get("NODEWISE_REQUIRE_MLOPX"):
        pytest.fail(f"NODEWISE_REQUIRE_MLOPX is set, but {missing}")
    pytest.skip(missing)


def run_script(script: Path) -> "subprocess.CompletedProcess[str]":
    """Run a script of mlopx as its user does, in its folder."""
    # Nothing of ours may be importable there: what is sent must come from the published package alone.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NODEWISE_"))}
    return subprocess.run(
        [str(_PYTHON), script.name],
        cwd=script.parent, env=kept, capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip


def answer_of(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The gateway's answer, as the client printed it."""
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
