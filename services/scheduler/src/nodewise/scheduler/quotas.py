"""What teams may hold at a time. Pure; `TeamRoom` is mutable within one look only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import TaskPath, TaskRef
from nodewise.core.model.quota import Quota, quota_of
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import OpenRun


class TeamRoom:
    """What is left of each team's quota: what its tasks hold on nodes, and what is on its way there, is taken."""

    def __init__(self, quotas: Mapping[str, Quota], booked: Mapping[str, Resources]) -> None:
        self._quotas = quotas
        self._used = dict(booked)

    @property
    def bounded(self) -> bool:
        """Whether there is any quota at all."""
        return bool(self._quotas)

    def take(self, team: str, need: Resources) -> None:
        """Count it, whether it fits or not."""
        if self._quotas:
            self._used[team] = self._used.get(team, Resources()) + need

    def refused(self, team: str, need: Resources) -> Reason | None:
        """Why this much more would be too much; None: it would not."""
        if not self._quotas:
            return None
        quota, used = quota_of(team, self._quotas), self._used.get(team, Resources())
        if quota.cores is not None and used.millicores + need.millicores > quota.cores * 1000:
            return _reason(team, used.millicores / 1000, quota.cores, need.millicores / 1000, what="cores")
        if quota.gpus is not None and need.gpus > 0 and used.gpus + need.gpus > quota.gpus:
            return _reason(team, used.gpus, quota.gpus, need.gpus, what="GPUs")
        return None


def _reason(team: str, used: float, limit: float, need: float, *, what: str) -> Reason:
    text = f"team {team!r} holds {used:g} of the {limit:g} {what} of its quota; this one needs {need:g}"
    if need > limit:
        text += ", more than all of it"
    return Reason(code=ReasonCode.TEAM_QUOTA, text=text)


def without(runs: Sequence[OpenRun], held: Collection[TaskRef]) -> tuple[OpenRun, ...]:
    """The runs without the tasks that are held, and without what comes after these: what there is to plan. O(tasks)."""
    if not held:
        return tuple(runs)
    left = (_without(run, {ref.path for ref in held if ref.run_id == run.id}) for run in runs)
    return tuple(run for run in left if run.tasks)


def _without(run: OpenRun, held: set[TaskPath]) -> OpenRun:
    if not held:
        return run
    out, before = set(held), 0
    while len(out) != before:
        before = len(out)
        out |= {task.facts.ref.path for task in run.tasks if not out.isdisjoint(task.spec.upstream)}
    return replace(run, tasks=tuple(task for task in run.tasks if task.facts.ref.path not in out))
