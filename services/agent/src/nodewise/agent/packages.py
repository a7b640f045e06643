"""An environment of a component's own: a virtual one that also sees what the node has, filled by pip."""

import importlib.util
import json
import site
import sysconfig
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from nodewise.agent.supervision import ProcessEnd, StopCause
from nodewise.agent.venvs import NotBuilt, PackageSet

RunStep = Callable[[Sequence[str]], tuple[ProcessEnd, str]]
"""Runs a command to its end, within its time; how it ended, and what it said."""

_OF_THE_NODE: Final = "nodewise_node.pth"
_ELSEWHERE: Final = frozenset(
    {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_DRY_RUN", "PIP_REPORT", "PIP_LOG"}
)
"""Settings of pip that would put the packages, or what is said of them, into another place."""
_NETWORK: Final = frozenset(
    {"http_proxy", "https_proxy", "no_proxy", "all_proxy", "requests_ca_bundle", "curl_ca_bundle", "ssl_cert_dir", "netrc"}
)  # fmt: skip
_PIP: Final = (
    "-m", "pip", "install", "--no-input", "--no-user", "--disable-pip-version-check", "--no-warn-script-location",
    "--progress-bar", "off",
)  # fmt: skip
_LAST_LINES: Final = 3


def build(root: Path, wanted: PackageSet, run: RunStep) -> None:
    """Make the environment.

    Raises:
        NotBuilt: pip did not install the packages.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(root)
    _show_node(root)
    python = str(python_of(root))
    if importlib.util.find_spec("pip") is None:
        _check(*run([python, "-m", "ensurepip"]))
    _check(*run([python, *_PIP, *wanted.options, "--", *wanted.packages]))


def python_of(root: Path) -> Path:
    return root / "bin" / "python"


def pip_environment(task: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    """What pip runs with: what a task gets (none of the agent's secrets), and what tells it where packages are.

    `task` is the environment of the task, without what its component sets; `base` that of the agent.
    """
    return {**task, **pip_settings(base)}


def pip_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Those among the variables that say where packages come from."""
    return {
        name: value
        for name, value in variables.items()
        if (name.startswith("PIP_") and name not in _ELSEWHERE) or name.lower() in _NETWORK
    }


def in_environment(root: Path, task: Mapping[str, str]) -> dict[str, str]:
    """The task's environment, with the programs of its packages before all others."""
    path = f"{root / 'bin'}:{task['PATH']}" if "PATH" in task else str(root / "bin")
    return {**task, "PATH": path, "VIRTUAL_ENV": str(root)}


def _show_node(root: Path) -> None:
    """What the node has stays importable, behind what is installed here; the node may itself be a virtual environment."""
    own = sysconfig.get_path("purelib", "venv", vars={"base": str(root), "platbase": str(root)})
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    folders = [folder for folder in (*site.getsitepackages(), *user) if Path(folder).is_dir()]
    # A line that starts with `import` is executed. `addsitedir` honours the .pth files there, a plain path would not.
    lines = "".join(f"import site; site.addsitedir({json.dumps(folder)})\n" for folder in folders)
    Path(own, _OF_THE_NODE).write_text(lines, encoding="utf-8")


def _check(end: ProcessEnd, output: str) -> None:
    if end.stopped is StopCause.TIMEOUT:
        raise NotBuilt("installing its packages took longer than the node allows", output)
    if end.stopped is StopCause.MEMORY:
        raise NotBuilt(f"installing its packages took {end.used_mib} MiB, more than the node has", output)
    if end.exit_code != 0:
        said = [line.strip() for line in output.splitlines() if line.strip() and "[notice]" not in line]
        last = "; ".join(said[-_LAST_LINES:]) or f"pip ended with code {end.exit_code}"
        raise NotBuilt(f"its packages could not be installed: {last}", output)
