"""The stack of docker-compose.yml, under a name, a port and volumes of a test's own."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_PROMETHEUS = "http://prometheus:9090/api/v1"
_ASK = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"


@dataclass
class ComposeStack:
    """A project of Docker Compose. `seconds` is how long each step took, by its name."""

    project: str
    port: int
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def admin_key(self) -> str:
        """The first API key, as docs/deploy.md reads it."""
        return self.run("exec", "-T", "api", "cat", "/var/lib/nodewise/secrets/admin/key").strip()

    def run(self, *words: str, within: float = 600) -> str:
        """`docker compose ...` on this project; what it wrote to its standard output."""
        command = ["docker", "compose", "--progress", "quiet", "--project-name", self.project, *words]
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )
        assert ended.returncode == 0, f"{' '.join(command)}:\n{ended.stdout[-4000:]}{ended.stderr[-4000:]}"
        return ended.stdout

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, "GATEWAY_PORT": str(self.port)}

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long a step takes."""
        began = time.monotonic()
        yield
        self.seconds[step] = time.monotonic() - began

    def containers(self, *, all_of_them: bool = False) -> list[dict[str, Any]]:
        """The containers that run, as `docker inspect` tells them; or all that were made."""
        ids = self.run("ps", "--quiet", *(["--all"] if all_of_them else [])).split()
        told = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True)
        found: list[dict[str, Any]] = json.loads(told.stdout)
        return found

    def sql(self, query: str) -> list[list[str]]:
        """The rows of a query, as texts."""
        said = self.run(
            "exec",
            "-T",
            "postgres",
            "psql",
            "-U",
            "nodewise",
            "-d",
            "nodewise",
            "-At",
            "-F",
            "\t",
            "-c",
            query,
        )
        return [line.split("\t") for line in said.splitlines()]

    def ask(self, service: str, url: str) -> str:
        """The body of a GET from within a container."""
        return self.run("exec", "-T", service, "python", "-c", _ASK, url)

    def targets(self) -> dict[str, str]:
        """The health of every target of Prometheus, by its instance."""
        active = json.loads(self.ask("monitor", f"{_PROMETHEUS}/targets"))["data"]["activeTargets"]
        return {target["labels"]["instance"]: target["health"] for target in active}

    def series(self, query: str) -> dict[str, float]:
        """The values of a query to Prometheus, by `instance`."""
        url = f"{_PROMETHEUS}/query?query={query.replace(' ', '%20')}"
        answer = json.loads(self.ask("monitor", url))["data"]["result"]
        return {item["metric"].get("instance", ""): float(item["value"][1]) for item in answer}

    def down(self) -> None:
        """Remove everything, volumes too."""
        self.run("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "20")

    def leftovers(self) -> list[str]:
        """Containers, volumes and networks of this project that are still there."""
        mark = f"label=com.docker.compose.project={self.project}"
        kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        asked = [["docker", *kind, "--quiet", "--filter", mark] for kind in kinds]
        return [
            name
            for words in asked
            for name in subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        ]


def engine_answers() -> bool:
    """Whether there are a Docker engine and Compose to test with."""
    for words in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            subprocess.run(words, capture_output=True, check=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            return False
    return True
