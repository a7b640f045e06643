"""How things of ours are called in Kubernetes. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from nodewise.core.messages import JobRef
from nodewise.core.model.ids import AttemptKey, NodeName

_DOMAIN: Final = "nodewise.dev"
CLUSTER: Final = f"{_DOMAIN}/cluster"
"""Label of all that a carrier makes: the id of the Nodewise cluster that it belongs to, so that two of them can share a namespace."""
RUN: Final = f"{_DOMAIN}/run"
TASK: Final = f"{_DOMAIN}/task"
ATTEMPT: Final = f"{_DOMAIN}/attempt"
PATH: Final = f"{_DOMAIN}/path"
"""Annotation: the whole path of the task, of which a label holds as much as it can."""
JOB: Final = f"{_DOMAIN}/job"
"""Annotation: the reference to its job, by which a carrier that was started anew knows the attempt."""
NODE: Final = f"{_DOMAIN}/node"
TIMEOUT: Final = f"{_DOMAIN}/timeout-seconds"
MEMORY: Final = f"{_DOMAIN}/memory-mib"

MAIN: Final = "main"
"""The container of a Python component: of our image."""
STAGE, TASK_STEP, COLLECT = "stage", "task", "collect"
"""The containers of a component with its own image, in the order in which they run."""

_LABEL_LENGTH: Final = 63
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")


def job_name(key: AttemptKey, cluster: str) -> str:
    """Another one for every attempt of every cluster, so that creating it twice makes one; says whose it is."""
    digest = hashlib.sha256(f"{cluster} {key}".encode()).hexdigest()[:16]
    readable = _NOT_IN_NAMES.sub("-", key.path.lower()).strip("-")[-28:].strip("-") or "task"
    return f"nw-{readable}-{key.attempt}-{digest}"


def label(text: str) -> str:
    """The text, as far as it can be the value of a label."""
    return _UNSAFE.sub("-", text)[:_LABEL_LENGTH].strip("-_.")


def labels_of(key: AttemptKey, cluster: str) -> dict[str, str]:
    return {
        CLUSTER: label(cluster),
        RUN: label(key.run_id),
        TASK: label(key.path),
        ATTEMPT: str(key.attempt),
        "app.kubernetes.io/name": "task",
        "app.kubernetes.io/managed-by": "nodewise-carrier",
        f"{_DOMAIN}/part": "task",
    }


def selector(cluster: str) -> str:
    """What finds all that is ours."""
    return f"{CLUSTER}={label(cluster)}"


def ref_of(found: Mapping[str, Any]) -> tuple[JobRef, NodeName] | None:
    """The reference and the node in the annotations of a Job or pod; None: it is none of ours."""
    notes = (found.get("metadata") or {}).get("annotations") or {}
    try:
        return JobRef.model_validate(json.loads(notes[JOB])), NodeName(notes[NODE])
    except (KeyError, ValueError, ValidationError):
        return None
