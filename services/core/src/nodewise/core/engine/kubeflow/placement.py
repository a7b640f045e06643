"""Early binding: where each leaf task of a run may run, written into the IR that KFP is given. Pure."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nodewise.core.engine.kubeflow.constraints import allowed, restricted, tolerating
from nodewise.core.engine.kubeflow.errors import PlacementConflict
from nodewise.core.engine.kubeflow.leaves import Document, leaves, unshared
from nodewise.core.engine.kubeflow.nodes import KubernetesNode
from nodewise.core.errors import UnknownName

RUN_LABEL: Final = "nodewise/run"
TASK_LABEL: Final = "nodewise/task"
PATH_ANNOTATION: Final = "nodewise/task-path"
_LONGEST_LABEL: Final = 63
_EXECUTORS: Final = "platforms.kubernetes.deploymentSpec.executors"
_PLACEHOLDER: Final = re.compile(r"\{(arch|platform)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPipeline:
    """What KFP is given: an IR and its platforms."""

    ir: Document
    platforms: Document


def place(
    ir: Mapping[str, Any],
    platforms: Mapping[str, Any],
    *,
    nodes: Mapping[str, Sequence[KubernetesNode]],
    run_id: str,
    caching: bool = True,
) -> PlacedPipeline:
    """Bind leaf tasks to nodes. The arguments stay as they are.

    Args:
        ir: the compiled pipeline.
        platforms: by platform name.
        nodes: by path of a leaf task in the IR: the node, or several for Kubernetes to choose from (loops share the
            nodes of all their iterations). A task without an entry is left to Kubernetes.
        run_id: written on every pod, with the task's path.
        caching: false makes KFP run every task, whatever it did before: its cache does not know of nodes.

    Raises:
        PlacementConflict: the user's own constraints do not allow what was chosen, or an image cannot be resolved.
        UnknownName: `nodes` names a task that the IR does not have.
        InvalidPipeline: the tasks cannot be told apart.
    """
    own_ir, own_platforms = unshared(ir, platforms)
    found = leaves(own_ir)
    for path in nodes:
        if path not in found:
            raise UnknownName("leaf task", path, sorted(found))
    section = _section(own_platforms)
    for path, leaf in found.items():
        label = leaf.label
        where = f"{_EXECUTORS}.{label}"
        config = section.get(label) or {}
        chosen = allowed(config, nodes[path], path=where) if path in nodes else []
        if chosen:
            config = tolerating(restricted(config, chosen, path=where), chosen)
        _resolve_image(own_ir, label, chosen)
        section[label] = _marked(config, run_id=run_id, path=path)
    return PlacedPipeline(ir=own_ir if caching else _uncached(own_ir), platforms=own_platforms)


def _section(platforms: Document) -> Document:
    deployment = platforms.setdefault("kubernetes", {}).setdefault("deploymentSpec", {})
    executors: Document = deployment.setdefault("executors", {})
    return executors


def _marked(config: Mapping[str, Any], *, run_id: str, path: str) -> dict[str, Any]:
    """The config with our labels on its pods."""
    metadata = config.get("podMetadata") or {}
    labels = {**(metadata.get("labels") or {}), RUN_LABEL: label_value(run_id), TASK_LABEL: label_value(path)}
    annotations = {**(metadata.get("annotations") or {}), PATH_ANNOTATION: path}
    return {**config, "podMetadata": {**metadata, "labels": labels, "annotations": annotations}}


def label_value(text: str) -> str:
    """The text as the value of a Kubernetes label; what does not fit is replaced, and made unique by a hash."""
    clean = re.sub(r"[^A-Za-z0-9_.-]", "-", text)
    fits = (
        clean == text
        and len(text) <= _LONGEST_LABEL
        and bool(re.fullmatch(r"[A-Za-z0-9](.*[A-Za-z0-9])?", text))
    )
    if fits:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{clean[: _LONGEST_LABEL - 9].strip('-_.')}-{digest}".lstrip("-")


def _resolve_image(ir: Document, label: str, nodes: Sequence[KubernetesNode]) -> None:
    """Fill `{arch}` with the node's architecture, `{platform}` with `gpu` where the task gets one, else likewise."""
    executor = ((ir.get("deploymentSpec") or {}).get("executors") or {}).get(label) or {}
    container = executor.get("container") or {}
    image = str(container.get("image", ""))
    if not _PLACEHOLDER.search(image):
        return
    path = f"deploymentSpec.executors.{label}.container.image"
    wants_gpu = bool((container.get("resources") or {}).get("accelerator"))
    found = {_image_on(image, node, wants_gpu) for node in nodes}
    if not found:
        raise PlacementConflict(path, f"{image} can be resolved only for a task that is placed")
    if len(found) > 1:
        raise PlacementConflict(
            path, f"{image} is another image on each of the chosen nodes; choose nodes of one kind"
        )
    container["image"] = found.pop()


def _image_on(image: str, node: KubernetesNode, wants_gpu: bool) -> str:
    platform = "gpu" if wants_gpu and node.allocatable.gpus else node.architecture
    return image.replace("{arch}", node.architecture).replace("{platform}", platform)


def _uncached(ir: Document) -> Document:
    for component in [ir.get("root") or {}, *(ir.get("components") or {}).values()]:
        for task in ((component.get("dag") or {}).get("tasks") or {}).values():
            task["cachingOptions"] = {"enableCache": False}
    return ir
