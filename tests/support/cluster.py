"""The stack of deploy/kubernetes/test on the cluster that KUBECONFIG names, in its own namespace.

The environment says what only its owner knows (docs/deploy.md): IMAGE_PREFIX and IMAGE_TAG for our images, POSTGRES_IMAGE, REDIS_IMAGE, and where
the artifact store is: K8S_STORE_PATH, a folder that all nodes have and user 10001 may write, or K8S_STORE_CLASS, a class of volumes that many nodes can
mount. Without either it is the cluster's default class.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from nodewise.core.nodekeys import new_secret
from nodewise.core.tokens import new_token
from tests.support.waiting import wait_until

ROOT: Final = Path(__file__).parents[2]
NAMESPACE: Final = "nodewise-test"
_EXAMPLE: Final = "registry.example/nodewise/"
_VOLUME: Final = "nodewise-test-store"
_PART: Final = "nodewise.dev/test"
_CLUSTER_WIDE: Final = {
    "namespace": NAMESPACE,
    "clusterrole": f"{NAMESPACE}-carrier",
    "clusterrolebinding": f"{NAMESPACE}-carrier",
    "persistentvolume": _VOLUME,
}
"""All of ours that is in no namespace, by its kind."""
_PATIENCE_SECONDS: Final = 600
_STATUS: Final = (
    "import os; print(open('/proc/self/status').read()); "
    "print('root is read-only' if os.statvfs('/').f_flag & os.ST_RDONLY else 'root can be written')"
)
# With commas: kubectl makes blanks of tabs.
_POD: Final = r'{.metadata.name},{.metadata.labels.nodewise\.dev/run},{.spec.nodeName}{"\n"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPod:
    """A pod of a task, as Kubernetes told of it."""

    name: str
    run: str
    node: str


@dataclass
class ClusterStack:
    """`seconds` is how long each step took, by its name; `left_out` the kinds that this cluster does not know."""

    folder: Path
    namespace: str = NAMESPACE
    key: str = field(default_factory=lambda: new_token().text)
    """The first API key."""
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def kubectl(self, *words: str, given: str | None = None, within: float = 120) -> str:
        """`kubectl ...` in our namespace; what it wrote to its standard output."""
        command = ["kubectl", "--namespace", NAMESPACE, *words]
        ended = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=within
        )
        assert ended.returncode == 0, f"{' '.join(command)}:\n{ended.stdout[-4000:]}{ended.stderr[-4000:]}"
        return ended.stdout

    def asked(self, *words: str) -> list[dict[str, Any]]:
        """The objects that `kubectl get ...` finds."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", *words, "--output", "json"))["items"]
        return found

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long a step takes."""
        began = time.monotonic()
        yield
        self.seconds[step] = time.monotonic() - began

    def manifests(self) -> list[dict[str, Any]]:
        """All objects to make, for this cluster."""
        copy = shutil.copytree(ROOT / "deploy" / "kubernetes", self.folder / "kubernetes")
        passwords = copy / "example" / "passwords"
        passwords.mkdir(exist_ok=True)
        for name in ("postgres", "redis"):
            (passwords / name).write_text(secrets.token_urlsafe(18))
        (passwords / "key").write_text(self.key)
        (passwords / "secret").write_text(new_secret())
        offered = set(self.kubectl("api-versions").split())
        built = list(yaml.safe_load_all(self.kubectl("kustomize", str(copy / "test"))))
        self.left_out = sorted(
            {f"{o['kind']} ({o['apiVersion']})" for o in built if o["apiVersion"] not in offered}
        )
        known = [one for one in built if one["apiVersion"] in offered]
        return [*(with_images(one) for one in known), *store_volume(known)]

    def up(self) -> None:
        """Make everything, and wait until it is ready."""
        objects = self.manifests()
        self.kubectl("apply", "--filename", "-", given=yaml.safe_dump_all(objects))
        try:
            self._wait_ready(objects)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            told = self.kubectl("get", "pods,pvc,events", "--sort-by", "{.metadata.creationTimestamp}")
            raise AssertionError(f"{error}\n{told}") from error

    def _wait_ready(self, objects: Iterable[dict[str, Any]]) -> None:
        limit = f"--timeout={_PATIENCE_SECONDS}s"
        self.kubectl("wait", "--for=condition=complete", "job/migrate", limit, within=_PATIENCE_SECONDS + 30)
        for one in objects:
            if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
                name = f"{one['kind']}/{one['metadata']['name']}".lower()
                self.kubectl("rollout", "status", name, limit, within=_PATIENCE_SECONDS + 30)

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """The URL of the gateway, from here."""
        words = ["kubectl", "--namespace", NAMESPACE, "port-forward", "service/api", ":8080"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as forward:
            try:
                assert forward.stdout is not None
                said = forward.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", said)
                assert found, f"kubectl port-forward said {said!r}"
                yield f"http://127.0.0.1:{found[1]}"
            finally:
                forward.terminate()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note every pod of a task: a carrier removes them when their end is on record."""
        words = ["kubectl", "--namespace", NAMESPACE, "get", "pods", "--selector", "nodewise.dev/run", "--watch",
                 "--output", f"jsonpath={_POD}"]  # fmt: skip
        with (
            (self.folder / "pods").open("w") as file,
            subprocess.Popen(words, stdout=file) as watch,
        ):
            try:
                yield
            finally:
                watch.terminate()

    def task_pods(self) -> set[TaskPod]:
        """The pods that were seen on a node."""
        # Only whole lines: the last one may be half written.
        lines = (self.folder / "pods").read_text().rpartition("\n")[0].splitlines()
        found = [line.split(",") for line in lines]
        return {TaskPod(name=name, run=run, node=node) for name, run, node in found if node}

    def task_pods_of(self, run_id: str) -> set[TaskPod]:
        return {pod for pod in self.task_pods() if pod.run == run_id}

    @property
    def version(self) -> str:
        """Of the API server, and of the kubelets."""
        server = json.loads(self.kubectl("get", "--raw", "/version"))["gitVersion"]
        nodes = {node["status"]["nodeInfo"]["kubeletVersion"] for node in self.asked("nodes")}
        return f"{server}, kubelets {', '.join(sorted(nodes))}"

    def hosts(self) -> dict[str, str]:
        """The nodes that take any pod, and their host names."""
        return {
            node["metadata"]["name"]: node["metadata"]["labels"]["kubernetes.io/hostname"]
            for node in self.asked("nodes")
            if not node["spec"].get("unschedulable") and not node["spec"].get("taints")
        }

    def may(self, verb: str, resource: str, account: str) -> bool:
        """Whether an account (`--as=...`) may do something in our namespace."""
        command = ["kubectl", "--namespace", NAMESPACE, "auth", "can-i", verb, resource, account]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert answer.stdout.strip() in ("yes", "no"), answer.stderr
        return answer.stdout.strip() == "yes"

    def status_of(self, name: str) -> str:
        """What Linux says of a process in a container of ours, and whether its root is read-only."""
        kind = "daemonset" if name == "agent" else "deployment"
        return self.kubectl("exec", f"{kind}/{name}", "--", "python", "-c", _STATUS)

    def sql(self, query: str) -> list[list[str]]:
        """The rows of a query, as texts."""
        said = self.kubectl("exec", "statefulset/postgres", "--", "psql", "-U", "nodewise", "-d", "nodewise",
                            "-At", "-F", "\t", "-c", query)  # fmt: skip
        return [line.split("\t") for line in said.splitlines()]

    def replace_pod(self, deployment: str) -> None:
        """Delete the pod of a deployment of one, and wait until another is ready."""
        selector = f"app.kubernetes.io/name={deployment}"
        (old,) = self.asked("pods", "--selector", selector)
        self.kubectl("delete", "pod", old["metadata"]["name"], "--wait=true")
        wait_until(
            lambda: (
                [pod["metadata"]["uid"] for pod in self.asked("pods", "--selector", selector)]
                not in ([], [old["metadata"]["uid"]])
            ),
            _PATIENCE_SECONDS,
            f"another pod of {deployment}",
            every=0.5,
        )
        limit = f"--timeout={_PATIENCE_SECONDS}s"
        self.kubectl("rollout", "status", f"deployment/{deployment}", limit, within=_PATIENCE_SECONDS + 30)

    def down(self) -> None:
        """Remove everything of ours, and nothing of a namespace that is not ours."""
        for one in self.asked("namespaces"):
            meta = one["metadata"]
            assert meta["name"] != NAMESPACE or _PART in meta.get("labels", {}), (
                f"the namespace {NAMESPACE} is somebody else's"
            )
        if found := self.leftovers():
            self.kubectl("delete", *found, "--wait=true", within=_PATIENCE_SECONDS)

    def leftovers(self) -> list[str]:
        """What is still there of us outside of any namespace, our namespace among it."""
        found = self.kubectl("get", ",".join(_CLUSTER_WIDE), "--output", "name").split()
        return [name for name in found if name.partition("/")[2] == _CLUSTER_WIDE[_kind(name)]]


def _kind(name: str) -> str:
    return name.partition("/")[0].partition(".")[0]


def with_images(one: dict[str, Any]) -> dict[str, Any]:
    """The object, with the images that the environment names in place of those of the example."""
    prefix = os.environ.get("IMAGE_PREFIX", "nodewise")
    tag = os.environ.get("IMAGE_TAG", "local")
    servers = {
        "postgres:16": os.environ.get("POSTGRES_IMAGE", "postgres:16"),
        "redis:7": os.environ.get("REDIS_IMAGE", "redis:7"),
    }

    def image(name: str) -> str:
        if name.startswith(_EXAMPLE):
            return f"{prefix}/{name.removeprefix(_EXAMPLE).partition(':')[0]}:{tag}"
        return servers.get(name, name)

    pod = one.get("spec", {}).get("template", {}).get("spec", {})
    for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
        container["image"] = image(container["image"])
        for entry in container.get("env", ()):
            if entry["name"] == "NODEWISE_KUBERNETES_IMAGE":
                entry["value"] = image(entry["value"])
    return one


def store_volume(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say in the claim of the store what it is to be, and bring the volume where it is a folder of the nodes."""
    (claim,) = [one["spec"] for one in objects if one["kind"] == "PersistentVolumeClaim"]
    path, of_class = os.environ.get("K8S_STORE_PATH"), os.environ.get("K8S_STORE_CLASS")
    if of_class:
        claim["storageClassName"] = of_class
    if not path:
        return []
    claim |= {"storageClassName": "", "volumeName": _VOLUME}
    size = claim["resources"]["requests"]
    spec = {
        "accessModes": claim["accessModes"],
        "capacity": size,
        "hostPath": {"path": path, "type": "Directory"},
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
    }
    return [{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": _VOLUME}, "spec": spec}]


def cluster_answers() -> bool:
    """Whether KUBECONFIG names a cluster, and it answers."""
    if not os.environ.get("KUBECONFIG"):
        return False
    words = ["kubectl", "--request-timeout=10s", "get", "--raw", "/readyz"]
    try:
        subprocess.run(words, capture_output=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
