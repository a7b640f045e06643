"""Schemathesis, in an environment of its own (`make .venv-schemathesis/.ready`)."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[2] / ".venv-schemathesis"
_HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
_READY = _FOLDER / ".ready"


def require_schemathesis() -> None:
    """Skip the test where it is not installed; fail it there if NODEWISE_REQUIRE_SCHEMATHESIS is set."""
    if _READY.is_file():
        return
    missing = f"schemathesis is not installed: run `make {_FOLDER.name}/.ready`"
    if os.environ.get("NODEWISE_REQUIRE_SCHEMATHESIS"):
        pytest.fail(f"NODEWISE_REQUIRE_SCHEMATHESIS is set, but {missing}")
    pytest.skip(missing)


def all_checks(
    url: str,
    config: Path,
    *,
    examples: int,
    seed: int,
    parameters: Mapping[str, str],
    key: str,
) -> "subprocess.CompletedProcess[str]":
    """All of its checks on every endpoint of the gateway.

    Args:
        url: of the gateway.
        config: the file to write its configuration to.
        examples: how many requests to make up for each endpoint, beside those that its rules call for.
        seed: of what it makes up.
        parameters: values of path parameters that exist, so that more than 404 is met.
        key: an API key for every request, but those that try what happens without.
    """
    config.write_text(_config(parameters, key))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NODEWISE_"))}
    command = [
        str(_FOLDER / "bin" / "schemathesis"), "--config-file", str(config), "run", f"{url}/openapi.json", "--checks", "all",
        "--max-examples", str(examples), "--seed", str(seed), "--no-color",
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=config.parent, env=kept, capture_output=True, text=True, check=False, timeout=900
    )


def _config(parameters: Mapping[str, str], key: str) -> str:
    lines = [f'{name} = "{value}"' for name, value in parameters.items()]
    # A schema cannot say that a pipeline must be one, nor which cursors were handed out: what fits it may be refused with 422.
    answers = '"2xx", 401, 403, 404, 409, 413, 422, 429'
    # Nor that a form has at most so many parts.
    return f"""
hooks = "{_HOOKS}"
[parameters]
{chr(10).join(lines)}
[auth.openapi.key]
bearer = "{key}"
[checks.positive_data_acceptance]
expected-statuses = [{answers}]
[[operations]]
include-path = "/submit/"
[operations.checks.positive_data_acceptance]
expected-statuses = [400, {answers}]
"""
