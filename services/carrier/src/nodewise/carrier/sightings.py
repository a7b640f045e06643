"""What a Job and its pod say of an attempt. Pure: objects of the Kubernetes API in, a sighting out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nodewise.carrier import names
from nodewise.core.model.decision import ReasonCode

Object = Mapping[str, Any]

_NO_IMAGE: Final = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
"""ErrImagePull is not among them: one back-off later it is there, or called ImagePullBackOff."""
_CANNOT_START: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_DEADLINE: Final = "DeadlineExceeded"
_OOM: Final = "OOMKilled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why an attempt ended otherwise than by the end of its process, or cannot go on. `final`: the pod has ended by itself."""

    code: ReasonCode
    text: str
    final: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One container of the pod that has begun. `exit_code` is None while it runs."""

    name: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    out_of_memory: bool = False
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """An attempt as it was seen. `steps` are in the order in which they run; `there` says that something of it still is."""

    there: bool = True
    pod: str | None = None
    steps: Mapping[str, Step] = field(default_factory=dict)
    over: bool = False
    trouble: Trouble | None = None
    job_started_at: datetime | None = None
    deadline_seconds: int | None = None

    @property
    def work(self) -> Step | None:
        """The container of the task itself, once it has begun."""
        return self.steps.get(names.TASK_STEP) or self.steps.get(names.MAIN)


def sighting(job: Object | None, pods: Sequence[Object], *, now: datetime, patience: timedelta) -> Sighting:
    """What is seen of one attempt.

    Args:
        job: Its Job; None: there is none.
        pods: The pods of its Job, any number: of several the newest counts.
        now: The time now.
        patience: How long a pod may find no room.
    """
    pod = max(pods, key=_created, default=None)
    if job is None and pod is None:
        return Sighting(there=False)
    steps = {step.name: step for step in _steps(pod or {})}
    found = _pod_trouble(pod, now, patience) if pod is not None else None
    return Sighting(
        pod=None if pod is None else str(pod["metadata"].get("name")),
        steps=steps,
        over=_over(job, pod),
        trouble=_job_trouble(job or {}, pod) or found,
        job_started_at=time_of(_status(job or {}).get("startTime")),
        deadline_seconds=((job or {}).get("spec") or {}).get("activeDeadlineSeconds"),
    )


def time_of(text: object) -> datetime | None:
    """A time of the Kubernetes API; None: there is none."""
    if not isinstance(text, str) or not text:
        return None
    return datetime.fromisoformat(text).astimezone(UTC)


def _created(pod: Object) -> tuple[str, str]:
    metadata = pod.get("metadata") or {}
    return str(metadata.get("creationTimestamp") or ""), str(metadata.get("name") or "")


def _status(found: Object) -> Object:
    status = found.get("status")
    return status if isinstance(status, dict) else {}


def _over(job: Object | None, pod: Object | None) -> bool:
    if pod is not None:
        return _status(pod).get("phase") in ("Succeeded", "Failed")
    return any(_conditions(job or {}, kind) for kind in ("Complete", "Failed"))


def _conditions(found: Object, kind: str) -> list[Object]:
    """Those of that kind that hold."""
    listed = _status(found).get("conditions") or []
    return [one for one in listed if one.get("type") == kind and one.get("status") == "True"]


def _job_trouble(job: Object, pod: Object | None) -> Trouble | None:
    for failed in _conditions(job, "Failed"):
        if failed.get("reason") == _DEADLINE:
            return Trouble(code=ReasonCode.TIMEOUT, text=_timeout(job))
        if pod is None:
            text = f"its pod is gone: {failed.get('reason')}: {failed.get('message')}"
            return Trouble(code=ReasonCode.AGENT_ERROR, text=text)
    return None


def _timeout(found: Object) -> str:
    notes = (found.get("metadata") or {}).get("annotations") or {}
    try:
        return f"ran longer than its timeout of {timedelta(seconds=float(notes[names.TIMEOUT]))}"
    except (KeyError, ValueError):
        return "ran longer than its timeout"


def _pod_trouble(pod: Object, now: datetime, patience: timedelta) -> Trouble | None:
    status = _status(pod)
    if status.get("phase") == "Failed" and status.get("reason"):
        if status["reason"] == _DEADLINE:
            return Trouble(code=ReasonCode.TIMEOUT, text=_timeout(pod))
        # Evicted, Shutdown, NodeLost, OutOfcpu ...: the kubelet's own decision.
        return Trouble(
            code=ReasonCode.AGENT_ERROR,
            text=f"{status['reason']}: {status.get('message') or 'no more is said'}",
        )
    return _waiting_trouble(status) or _unschedulable(pod, now, patience)


def _waiting_trouble(status: Object) -> Trouble | None:
    for container in _container_statuses(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        why, text = waiting.get("reason"), waiting.get("message") or "no more is said"
        if why in _NO_IMAGE:
            said = f"image {container.get('image')}: {why}: {text}"
            return Trouble(code=ReasonCode.IMAGE_UNAVAILABLE, text=said, final=False)
        if why in _CANNOT_START:
            return Trouble(code=ReasonCode.POD_FAILED, text=f"{why}: {text}", final=False)
    return None


def _unschedulable(pod: Object, now: datetime, patience: timedelta) -> Trouble | None:
    if _status(pod).get("phase") != "Pending":
        return None
    for one in _status(pod).get("conditions") or []:
        since = time_of(one.get("lastTransitionTime"))
        refused = (one.get("type"), one.get("status"), one.get("reason")) == (
            "PodScheduled", "False", "Unschedulable",
        )  # fmt: skip
        if refused and since is not None and now - since > patience:
            text = f"Unschedulable: {one.get('message') or 'no more is said'}"
            return Trouble(code=ReasonCode.AGENT_ERROR, text=text, final=False)
    return None


def _container_statuses(status: Object) -> list[Object]:
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _steps(pod: Object) -> Iterator[Step]:
    for container in _container_statuses(_status(pod)):
        state = container.get("state") or {}
        name = str(container.get("name"))
        if running := state.get("running"):
            yield Step(name=name, started_at=time_of(running.get("startedAt")))
        elif ended := state.get("terminated"):
            yield Step(
                name=name,
                started_at=time_of(ended.get("startedAt")),
                finished_at=time_of(ended.get("finishedAt")),
                exit_code=int(ended.get("exitCode") or 0),
                out_of_memory=ended.get("reason") == _OOM,
                said=str(ended.get("message") or ""),
            )
