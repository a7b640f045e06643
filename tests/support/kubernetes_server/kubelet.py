"""Runs the containers of a pod as processes of this machine, one pod a thread. Mounts become folders, by their paths' text."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from nodewise.core.model.quantities import mebibytes
from tests.support.kubernetes_server.objects import Object, Objects, now_text

PYTHON_OF_OUR_IMAGE = "/opt/nodewise/bin/python"
_TICK_SECONDS = 0.02
_MIB = 1 << 20


def can_be_pulled(image: str) -> bool:
    """All but those of a host that ends in `.invalid`."""
    return not image.split("/", maxsplit=1)[0].partition(":")[0].endswith(".invalid")


class PodRun:
    """One pod on its node."""

    def __init__(self, objects: Objects, pod: Object, on_change: Callable[[], None]) -> None:
        self._objects = objects
        self._on_change = on_change
        self.pod = pod
        self.folder = Path(tempfile.mkdtemp(prefix="pod-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._verdict: tuple[str, str] | None = None
        self._thread = threading.Thread(target=self._run, name=pod["metadata"]["name"], daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(20)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def end(self, grace: float, verdict: tuple[str, str] | None = None) -> None:
        """SIGTERM, then SIGKILL; `verdict` is the reason and the message of a pod that the kubelet itself fails."""
        self._verdict = self._verdict or verdict
        if self._ending.is_set():
            return
        self._ending.set()
        with self._lock:
            process = self._process
        if process is not None:
            _signal(process, signal.SIGTERM)
            threading.Thread(target=_kill_after, args=(process, grace), daemon=True).start()

    def log(self, container: str) -> bytes:
        path = self._log(container)
        return path.read_bytes() if path.exists() else b""

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _log(self, container: str) -> Path:
        return self.folder / f"{container}.log"

    def _run(self) -> None:
        spec, status = self.pod["spec"], self.pod["status"]
        with self._objects.lock:
            status["startTime"] = now_text()
            status["initContainerStatuses"] = [_waiting(one) for one in spec.get("initContainers") or []]
            status["containerStatuses"] = [_waiting(one) for one in spec["containers"]]
        steps = [("initContainerStatuses", n, one) for n, one in enumerate(spec.get("initContainers") or [])]
        steps += [("containerStatuses", n, one) for n, one in enumerate(spec["containers"])]
        well = all(self._step(status[group][index], container) for group, index, container in steps)
        with self._objects.lock:
            if self._verdict is not None:
                status["reason"], status["message"] = self._verdict
            status["phase"] = "Succeeded" if well and self._verdict is None else "Failed"
            self._touch()
        self._on_change()

    def _step(self, status: Object, container: Object) -> bool:
        if self._ending.is_set():
            return False
        if not can_be_pulled(container["image"]):
            self._back_off(status, container["image"])
            return False
        process = self._spawn(status, container)
        if process is None:
            return False
        killed = self._watch(process, container)
        code = process.wait()
        _kill_group(process)
        with self._objects.lock:
            status["state"] = {
                "terminated": {
                    "exitCode": code if code >= 0 else 128 - code,
                    "reason": "OOMKilled" if killed else ("Completed" if code == 0 else "Error"),
                    "startedAt": status["state"]["running"]["startedAt"],
                    "finishedAt": now_text(),
                    "message": self._message(container),
                }
            }
            self._touch()
        return code == 0

    def _back_off(self, status: Object, image: str) -> None:
        for reason in ("ErrImagePull", "ImagePullBackOff"):
            text = f'Back-off pulling image "{image}"'
            with self._objects.lock:
                status["state"] = {"waiting": {"reason": reason, "message": text}}
                self._touch()
        self._ending.wait()

    def _spawn(self, status: Object, container: Object) -> "subprocess.Popen[bytes] | None":
        words = [self._here(_expanded(word), container) for word in _words(container)]
        words = [sys.executable if word == PYTHON_OF_OUR_IMAGE else word for word in words]
        work = self.folder / "root"
        work.mkdir(exist_ok=True)
        with self._lock, self._log(container["name"]).open("ab") as log:
            if self._ending.is_set():
                return None
            try:
                self._process = subprocess.Popen(
                    words, env=self._environment(container), cwd=work, stdin=subprocess.DEVNULL,
                    stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                text = f"failed to create containerd task: exec: {words[0]!r}: {error.strerror}"
                ended = {"exitCode": 128, "reason": "StartError", "message": text, "finishedAt": now_text()}
                status["state"] = {"terminated": ended}
                return None
        with self._objects.lock:
            status["state"] = {"running": {"startedAt": now_text()}}
            self.pod["status"]["phase"] = (
                "Running" if status in self.pod["status"]["containerStatuses"] else "Pending"
            )
            self._touch()
        return self._process

    def _watch(self, process: "subprocess.Popen[bytes]", container: Object) -> bool:
        """Until it ends; whether it was ended for its memory."""
        limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        while process.poll() is None:
            if limit is not None and _resident_mib(process.pid) > mebibytes(limit):
                _signal(process, signal.SIGKILL)
                return True
            time.sleep(_TICK_SECONDS)
        return False

    def _environment(self, container: Object) -> dict[str, str]:
        env = {"PATH": os.environ["PATH"], "HOME": "/tmp", "_KFP_RUNTIME": "true"}
        if "PYTHONPATH" in os.environ:
            env["PYTHONPATH"] = os.environ["PYTHONPATH"]
        env["NODEWISE_TERMINATION_LOG"] = str(self.folder / f"{container['name']}.end")
        for variable in container.get("env") or []:
            if "valueFrom" in variable:
                env[variable["name"]] = self.pod["metadata"]["uid"]
            else:
                env[variable["name"]] = self._here(_expanded(variable.get("value", "")), container)
        return env

    def _here(self, text: str, container: Object) -> str:
        """The text with folders of this machine in place of those that are empty in the pod."""
        empty = {volume["name"] for volume in self.pod["spec"].get("volumes") or [] if "emptyDir" in volume}
        for mount in container.get("volumeMounts") or []:
            if mount["name"] in empty and mount["name"] != "tmp":
                folder = self.folder / mount["name"]
                folder.mkdir(exist_ok=True)
                text = text.replace(mount["mountPath"], str(folder))
        return text

    def _message(self, container: Object) -> str:
        path = self.folder / f"{container['name']}.end"
        return path.read_text()[:4096] if path.exists() else ""

    def _touch(self) -> None:
        if self._objects.has("pods", self.pod):
            self._objects.touch("pods", self.pod)


def _words(container: Object) -> list[str]:
    # The command of the image, where the pod names none.
    command = container.get("command") or [*os.environ.get("IMAGE_COMMAND", "python3").split()]
    return [*command, *(container.get("args") or [])]


def _expanded(text: str) -> str:
    """As Kubernetes does: $$ is $; $(NAME) would be a variable."""
    return re.sub(r"\$\$", "$", text)


def _waiting(container: Object) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": "PodInitializing"}},
    }


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    # As in a container: its first process gets the signal; SIGKILL ends all of them.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _kill_after(process: "subprocess.Popen[bytes]", grace: float) -> None:
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)


def _resident_mib(pid: int) -> float:
    total: Any = 0
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return float(total) / _MIB
