"""A container runtime, by its command line: docker, podman, or whatever takes the same words."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nodewise.core.errors import NodewiseError

ANSWER_SECONDS: Final = 30.0
"""How long the runtime may take for a question. Pulling an image is none."""
_CHECK_SECONDS: Final = 20.0
_NOT_STARTED: Final = ("created", "configured", "initialized")
"""What docker and podman call a container that was made and never ran."""
_HELP: Final = re.compile(r"(See|Run) '[^']* --help'")


class RuntimeFailed(NodewiseError):
    """The container runtime does not do what every one does; that is the node's trouble, not the task's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One to run. `command` empty: the image's own. `folders` are mounted at the same paths.

    `cores` None: all. `gpus`: whether it sees those of the node.
    """

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    folders: tuple[Path, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    memory_mib: int
    millicores: int
    cores: tuple[int, ...] | None = None
    gpus: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """What the runtime says of a container. `error` is why it could not be started (empty: it could).

    One that was made and not `started` has an exit code of 0 all the same, which says nothing.
    """

    started: bool
    running: bool
    exit_code: int
    out_of_memory: bool
    error: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRuntime:
    """The runtime at `command`. `rootless_podman` maps users another way than all others."""

    command: str
    rootless_podman: bool = False

    @property
    def name(self) -> str:
        return Path(self.command).name

    @classmethod
    def connect(cls, given: str) -> "ContainerRuntime":
        """The runtime of that name or path, if it answers.

        Raises:
            RuntimeFailed: There is no such program, or it has no engine to talk to.
        """
        command = shutil.which(given)
        if command is None:
            raise RuntimeFailed(f"there is no program {given!r}")
        try:
            answer = subprocess.run(  # noqa: S603 - named by who runs the agent
                [command, "version"], capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeFailed(f"`{given} version` does not answer: {error}") from error
        if answer.returncode != 0:
            raise RuntimeFailed(f"`{given} version` fails: {last_line(answer.stderr or answer.stdout)}")
        podman = "podman" in f"{command} {answer.stdout}".lower()
        return cls(command=command, rootless_podman=podman and os.getuid() != 0)

    def answers(self) -> bool:
        return self._ask("version") is not None

    def has_image(self, image: str) -> bool:
        return self._ask("image", "inspect", image) is not None

    def pull_words(self, image: str) -> list[str]:
        """The command that fetches an image."""
        return [self.command, "pull", image]

    def run_words(self, container: Container, variables: Sequence[str]) -> list[str]:
        """The command that runs a container in the foreground. It stays there afterwards, so that its end can be asked for.

        `variables` are the options that say where its environment is.
        """
        mounts = [f"--mount={_mount(folder)}" for folder in container.folders]
        labels = [f"--label={key}={value}" for key, value in sorted(container.labels.items())]
        entrypoint = [f"--entrypoint={container.command[0]}"] if container.command else []
        return [
            self.command, "run", f"--name={container.name}", *labels, *self._user(), *mounts, *variables,
            f"--memory={container.memory_mib}m", *_cpus(container),
            *(["--gpus=all"] if container.gpus else []), *entrypoint, container.image,
            *container.command[1:], *container.args,
        ]  # fmt: skip

    def stop(self, name: str, *, grace: float) -> bool:
        """Ask it to end, and end it after `grace` seconds; False: there is none, or the runtime does not answer."""
        if grace <= 0:
            return self._ask("kill", name) is not None
        return self._ask("stop", f"-t={round(grace)}", name, seconds=ANSWER_SECONDS + grace) is not None

    def remove(self, name: str) -> None:
        """End it, if it still runs, and forget it. There need be none of that name."""
        self._ask("rm", "--force", "--volumes", name)

    def state(self, name: str) -> ContainerState | None:
        """How it is; None: there is none, or the runtime does not answer."""
        text = self._ask("inspect", "--type=container", name)
        try:
            found = json.loads(text) if text else []
            return _state(found[0]["State"]) if found else None
        except (ValueError, LookupError, TypeError):
            return None

    def named(self, label: str, value: str) -> list[str]:
        """The names of all containers with that label, running or not."""
        text = self._ask("ps", "--all", f"--filter=label={label}={value}", "--format={{.Names}}")
        return (text or "").split()

    def _user(self) -> list[str]:
        # What it writes into the attempt's folder must be the agent's to read and to remove.
        user = f"--user={os.getuid()}:{os.getgid()}"
        return ["--userns=keep-id", user] if self.rootless_podman else [user]

    def _ask(self, *words: str, seconds: float = ANSWER_SECONDS) -> str | None:
        """What it prints; None when it fails."""
        try:
            answer = subprocess.run(  # noqa: S603 - checked at the agent's start
                [self.command, *words],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout if answer.returncode == 0 else None


def last_line(text: str) -> str:
    """What a program said last, but for where its help is."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _HELP.match(line)]
    return lines[-1] if lines else "it says nothing"


def _mount(folder: Path) -> str:
    # The value is a line of CSV: so says docker's reference, and a path may hold commas.
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(["type=bind", f"source={folder}", f"target={folder}"])
    return line.getvalue()


def _cpus(container: Container) -> Sequence[str]:
    # A node may offer more than its machine has, and a runtime refuses that.
    cpus = min(container.millicores / 1000, os.cpu_count() or 1)
    limit = [f"--cpus={max(cpus, 0.01):g}"]
    if container.cores is not None:
        limit.append(f"--cpuset-cpus={','.join(map(str, container.cores))}")
    return limit


def _state(said: Mapping[str, Any]) -> ContainerState:
    return ContainerState(
        started=str(said.get("Status") or "").lower() not in _NOT_STARTED,
        running=bool(said.get("Running")),
        exit_code=int(said.get("ExitCode") or 0),
        out_of_memory=bool(said.get("OOMKilled")),
        error=str(said.get("Error") or ""),
        pid=int(said.get("Pid") or 0),
    )
