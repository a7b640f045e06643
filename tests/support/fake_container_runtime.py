#!/usr/bin/env -S python3 -IS
"""Behaves like docker's command line, as far as an agent uses it, and runs the commands on this machine.

Its state is a folder, `FAKE_RUNTIME_DIR`: a file for every container, and `down` while there is no engine to talk to. It has one image,
and can pull any other but those of a host that ends in `.invalid`. As with the real one, a container outlives the client that
started it. Held to the contract of `tests/contracts/container_runtime_contract.py` as a real engine is.
"""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOME = Path(os.environ.get("FAKE_RUNTIME_DIR", "/nonexistent"))
IMAGE = "python:3.11-slim"
IMAGE_COMMAND = ["python3"]
MIB = 1 << 20
TICK_SECONDS = 0.02
REFUSED = 125


def main(argv: list[str]) -> int:
    commands: dict[str, Callable[[list[str]], int]] = {
        "run": run, "stop": stop, "kill": kill, "inspect": inspect, "ps": ps, "rm": remove, "pull": pull,
        "version": version, "image": image, "_shim": shim,
    }  # fmt: skip
    if (HOME / "down").exists():
        return refuse("Cannot connect to the Docker daemon. Is the docker daemon running?", 1)
    command = commands.get(argv[0])
    if command is None:
        return refuse(f"docker: {argv[0]!r} is not a docker command", 1)
    return command(argv[1:])


def refuse(text: str, code: int) -> int:
    print(text, file=sys.stderr, flush=True)
    return code


def split(argv: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Options before the first word, and the rest: what follows the image is the container's."""
    options = []
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        name, _, value = rest.pop(0).partition("=")
        options.append((name, value))
    return options, rest


def version(argv: list[str]) -> int:
    print("Client:\n Version: 0.fake\n\nServer:\n Engine:\n  Version: 0.fake")
    return 0


# -- images


def images() -> set[str]:
    pulled = HOME / "images"
    return {IMAGE, *(pulled.read_text().split() if pulled.exists() else ())}


def image(argv: list[str]) -> int:
    name = argv[1]
    if name not in images():
        return refuse(f"Error: No such image: {name}", 1)
    print(json.dumps([{"RepoTags": [name]}]))
    return 0


def pull(argv: list[str]) -> int:
    name = argv[0]
    print(f"pulling {name}", flush=True)
    if name.split("/")[0].endswith(".invalid"):
        return refuse(f"Error response from daemon: Get https://{name.split('/')[0]}/v2/: no such host", 1)
    while (HOME / "slow-registry").exists():
        time.sleep(TICK_SECONDS)
    with (HOME / "images").open("a") as file:
        file.write(f"{name}\n")
    return 0


# -- what is known of containers


def place(name: str) -> Path:
    return HOME / "containers" / f"{name}.json"


def read(name: str) -> dict[str, Any] | None:
    try:
        known: dict[str, Any] = json.loads(place(name).read_text())
    except FileNotFoundError:
        return None
    if known["status"] == "running" and not alive(known["shim"]):
        return known | {"status": "exited", "exit_code": 137}
    return known


def write(name: str, known: dict[str, Any]) -> None:
    partial = place(name).with_suffix(f".{uuid.uuid4().hex}")
    partial.write_text(json.dumps(known))
    partial.replace(place(name))


def update(name: str, **changes: object) -> None:
    known = read(name)
    if known is not None:
        write(name, known | changes)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def signal_all(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


# -- commands on containers


def run(argv: list[str]) -> int:
    options, rest = split(argv)
    given = dict(options)
    name, wanted = given["--name"], rest[0]
    if wanted not in images() and pull([wanted]) != 0:
        return refuse("docker: the image cannot be had", REFUSED)
    refusal = refused(options)
    if refusal:
        return refuse(f"docker: Error response from daemon: {refusal}.\nSee 'docker run --help'.", REFUSED)
    entrypoint = [given["--entrypoint"]] if "--entrypoint" in given else []
    known = {
        "name": name,
        "labels": dict(value.split("=", 1) for key, value in options if key == "--label"),
        "environment": environment(options),
        "words": [*entrypoint, *rest[1:]] or IMAGE_COMMAND,
        "options": options,
        "memory_mib": int(given["--memory"].removesuffix("m")),
        "status": "created", "exit_code": 0, "oom": False, "error": "", "pid": 0, "shim": 0,
    }  # fmt: skip
    place(name).parent.mkdir(parents=True, exist_ok=True)
    try:
        with place(name).open("x") as file:
            json.dump(known, file)
    except FileExistsError:
        return refuse(f'docker: Error response from daemon: Conflict. The name "/{name}" is in use', REFUSED)
    while (HOME / "slow-start").exists():
        time.sleep(TICK_SECONDS)
    return attach(name)


def environment(options: list[tuple[str, str]]) -> dict[str, str]:
    """As docker reads it: a line of a file as it stands, a name without a value from our own environment."""
    found: dict[str, str] = {}
    for key, value in options:
        if key == "--env-file":
            for line in Path(value).read_bytes().decode().split("\n"):
                text = line.lstrip().removesuffix("\r")
                if text and not text.startswith("#"):
                    assert len(line) < 65_536, "bufio.Scanner: token too long"
                    found.update([text.split("=", 1)])
        if key == "--env":
            name, given, text = value.partition("=")
            if given:
                found[name] = text
            elif name in os.environ:
                found[name] = os.environ[name]
    return found


def refused(options: list[tuple[str, str]]) -> str:
    """What an engine would not take."""
    for key, value in options:
        if key == "--mount":
            parts = dict(part.split("=", 1) for part in next(csv.reader([value])))
            if parts["source"] != parts["target"] or not Path(parts["source"]).is_dir():
                return f"invalid mount config: bind source path does not exist: {parts['source']}"
        if key == "--user" and value != f"{os.getuid()}:{os.getgid()}":
            return f"cannot be another user than {os.getuid()} here"
        if key == "--cpus" and float(value) > (os.cpu_count() or 1):
            return f"range of CPUs is from 0.01 to {os.cpu_count()}"
    return ""


def attach(name: str) -> int:
    """Wait for the container as `docker run` does; when we die, it goes on."""
    keeper = subprocess.Popen(
        [sys.executable, "-IS", __file__, "_shim", name], stdin=subprocess.DEVNULL, start_new_session=True
    )
    keeper.wait()
    known = read(name)
    if known is None:
        return 137
    if known["error"]:
        return refuse(f"docker: Error response from daemon: {known['error']}", known["exit_code"])
    return int(known["exit_code"])


def shim(argv: list[str]) -> int:
    """Keeps one container: its memory, and how it ended."""
    name = argv[0]
    known = read(name)
    assert known is not None
    words = known["words"]
    env = {"PATH": os.environ["PATH"], "HOME": "/", **known["environment"]}
    try:
        process = subprocess.Popen(words, env=env, cwd="/", start_new_session=True)
    except OSError:
        text = f'failed to create shim: exec: "{words[0]}": executable file not found in $PATH: unknown'
        update(name, exit_code=127, error=text)
        return 0
    update(name, status="running", pid=process.pid, shim=os.getpid())
    if read(name) is None:  # It was removed before it ran.
        signal_all(process.pid, signal.SIGKILL)
    out_of_memory = False
    while process.poll() is None:
        if resident_mib(process.pid) > known["memory_mib"]:
            out_of_memory = True
            signal_all(process.pid, signal.SIGKILL)
        time.sleep(TICK_SECONDS)
    signal_all(process.pid, signal.SIGKILL)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    update(name, status="exited", exit_code=code, oom=out_of_memory, pid=0)
    return 0


def resident_mib(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        lists = [(thread / "children").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
    except (OSError, IndexError):
        return 0.0
    children = sum(resident_mib(int(child)) for text in lists for child in text.split())
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB + children


def stop(argv: list[str]) -> int:
    options, names = split(argv)
    known = read(names[0])
    if known is None:
        return refuse(f"Error response from daemon: No such container: {names[0]}", 1)
    deadline = time.monotonic() + float(dict(options).get("-t", "10"))
    if known["status"] == "running":
        signal_all(known["pid"], signal.SIGTERM)
        if not ended(names[0], deadline):
            signal_all(known["pid"], signal.SIGKILL)
            ended(names[0], deadline + 5)
    print(names[0])
    return 0


def ended(name: str, deadline: float) -> bool:
    while time.monotonic() < deadline:
        known = read(name)
        if known is None or known["status"] == "exited":
            return True
        time.sleep(TICK_SECONDS)
    return False


def kill(argv: list[str]) -> int:
    known = read(argv[0])
    if known is None or known["status"] != "running":
        return refuse(f"Error response from daemon: Container {argv[0]} is not running", 1)
    signal_all(known["pid"], signal.SIGKILL)
    return 0


def remove(argv: list[str]) -> int:
    _, names = split(argv)
    known = read(names[0])
    if known is None:
        return refuse(f"Error: No such container: {names[0]}", 1)
    if known["pid"]:
        signal_all(known["pid"], signal.SIGKILL)
    place(names[0]).unlink(missing_ok=True)
    return 0


def inspect(argv: list[str]) -> int:
    _, names = split(argv)
    known = read(names[0])
    if known is None:
        print("[]")
        return refuse(f"Error: No such container: {names[0]}", 1)
    state = {
        "Status": known["status"], "Running": known["status"] == "running", "ExitCode": known["exit_code"],
        "OOMKilled": known["oom"], "Error": known["error"], "Pid": known["pid"],
    }  # fmt: skip
    print(json.dumps([{"Name": f"/{names[0]}", "State": state, "Labels": known["labels"]}]))
    return 0


def ps(argv: list[str]) -> int:
    options, _ = split(argv)
    _, label, value = dict(options)["--filter"].split("=", 2)
    folder = HOME / "containers"
    for path in sorted(folder.glob("*.json")) if folder.exists() else ():
        known = read(path.stem)
        if known is not None and known["labels"].get(label) == value:
            print(known["name"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
