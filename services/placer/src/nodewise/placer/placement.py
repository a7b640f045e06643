"""What every strategy shares: who can take a task, the bookings of the decisions before it, and how a decision is told.

A strategy is then one function, `Chooser`: from the nodes that can take a task (never empty) to the one it takes.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Final

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion, exclusion_of
from nodewise.core.model.decision import (
    Candidate,
    Decision,
    Deferral,
    Exclusion,
    Placement,
    Reason,
    ReasonCode,
)
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import Preferences, Requirements, TaskSpec, WaitingTask
from nodewise.core.refusals import kept_out, refusal
from nodewise.placer.scores import unmeasured, wishes_met

Score = float | str | None
_Asked = tuple[NodeName, Exclusion | None]

MOST_TOLD: Final = 50
"""Of so many nodes a placement tells: the chosen one, those with room, then those without. The rest are counted."""

_NO_PREFERENCES: Final = Preferences()
_KINDS_KNOWN: Final = 16
"""So many kinds of tasks are remembered with what the nodes said to them."""
_NAMED: Final = 3
"""So many other nodes are named in a sentence; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The node taken, why ("least loaded: 25 % of its cores booked; n2 50 %"), and what each node scored."""

    node: NodeName
    text: str
    scores: Mapping[NodeName, Mapping[str, Score]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The strategy's own reason to take none of the nodes that could."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Who can take one task now, sorted by name (`feasible`), and what keeps the others out."""

    feasible: tuple[NodeView, ...]
    exclusions: tuple[Exclusion, ...]


Chooser = Callable[[WaitingTask, Sequence[NodeView]], Choice | Wait]


class WorkingCluster:
    """A snapshot that is booked on while decisions are made. Mutable within one call of a strategy only."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._views = {view.name: view for view in cluster.nodes}
        self._known: list[tuple[Resources, Requirements, dict[NodeName, Exclusion | None]]] = []

    def survey(self, task: WaitingTask) -> Survey:
        """Ask every node, in name order. O(nodes); who wants the same as one before asks only who was booked since."""
        found = list(self._surveyed(task))
        return Survey(
            feasible=tuple(view for view, excluded in found if excluded is None),
            exclusions=tuple(excluded for _, excluded in found if excluded is not None),
        )

    def _surveyed(self, task: WaitingTask) -> Iterator[tuple[NodeView, Exclusion | None]]:
        if task.allowed_nodes is not None:
            yield from ((view, exclusion_of(task, view, self.cluster)) for view in self._views.values())
            return
        answers = self._answers(task.spec)
        for name, view in self._views.items():
            if name not in answers:
                answers[name] = exclusion(task.spec, view, self.cluster)
            yield view, answers[name]

    def _answers(self, spec: TaskSpec) -> dict[NodeName, Exclusion | None]:
        """What the nodes, as they are booked by now, said to those who want the same."""
        need, wanted = effective_resources(spec), spec.requirements
        for other_need, other_wanted, answers in self._known:
            if need == other_need and wanted == other_wanted:
                return answers
        self._known.append((need, wanted, {}))
        del self._known[:-_KINDS_KNOWN]
        return self._known[-1][2]

    def has(self, name: NodeName) -> bool:
        return name in self._views

    def view(self, name: NodeName) -> NodeView:
        """The node as it is booked by now."""
        return self._views[name]

    def book(self, name: NodeName, resources: Resources) -> None:
        self._views[name] = self._views[name].with_booking(resources)
        for _, _, answers in self._known:
            answers.pop(name, None)

    def snapshot(self) -> Cluster:
        """The cluster as it would be after these bookings."""
        return Cluster(
            nodes=tuple(self._views.values()),
            taken_at=self.cluster.taken_at,
            staleness_limit=self.cluster.staleness_limit,
        )


def place_each(tasks: Sequence[WaitingTask], cluster: Cluster, choose: Chooser) -> tuple[Decision, ...]:
    """One decision per task, in order, each seeing the bookings of those before it. O(tasks x nodes).

    A task's preferences come first: where feasible nodes fulfil some, `choose` sees only those that fulfil most.
    """
    working = WorkingCluster(cluster)
    return tuple(_decide(task, working, choose) for task in tasks)


def _decide(task: WaitingTask, working: WorkingCluster, choose: Chooser) -> Decision:
    survey = working.survey(task)
    if not survey.feasible:
        return no_room(task, survey)
    choice = choose(task, most_preferred(task, survey.feasible))
    if isinstance(choice, Wait):
        return _deferral(task, survey, Reason(code=ReasonCode.STRATEGY_RULE, text=choice.text))
    working.book(choice.node, effective_resources(task.spec))
    return placement(task, survey, choice, cluster=working.cluster)


def placement(task: WaitingTask, survey: Survey, choice: Choice, *, cluster: Cluster) -> Placement:
    """The choice, told with what else decided: preferences, what was left to choose from, figures that are missing."""
    preferred = most_preferred(task, survey.feasible)
    candidates = _candidates(survey, choice.scores, chosen=choice.node)
    lead = "preferred by the task; " if len(preferred) < len(survey.feasible) else _only(survey)
    return Placement(
        ref=task.ref,
        node=choice.node,
        reason=Reason(code=ReasonCode.PLACED, text=lead + choice.text + _ignored(survey.feasible, cluster)),
        candidates=candidates,
        more=_more(survey, candidates),
    )


def most_preferred(task: WaitingTask, feasible: Sequence[NodeView]) -> Sequence[NodeView]:
    """Those that fulfil most of the task's preferences; all, when it has none or nobody fulfils any."""
    if task.spec.preferences == _NO_PREFERENCES:
        return feasible
    met = [wishes_met(task.spec.preferences, view) for view in feasible]
    best = max(met)
    return [view for view, count in zip(feasible, met, strict=True) if count == best]


def no_room(task: WaitingTask, survey: Survey) -> Deferral:
    """Why nobody can take the task now. What was admitted to one node only goes back because of that node."""
    only = task.allowed_nodes if task.allowed_nodes is not None and len(task.allowed_nodes) == 1 else ()
    reason = refusal(task.spec, survey.exclusions)
    if only and survey.exclusions and reason.code is ReasonCode.NO_ROOM:
        here = next((found.text for found in survey.exclusions if found.node == only[0]), None)
        why = "is not in the cluster any more" if here is None else f"cannot take it any more: {here}"
        reason = Reason(code=reason.code, text=f"{only[0]}, which it was admitted to, {why}")
    return _deferral(task, survey, reason)


def _deferral(task: WaitingTask, survey: Survey, reason: Reason) -> Deferral:
    return Deferral(ref=task.ref, reason=reason, candidates=_candidates(survey, {}))


def _candidates(
    survey: Survey, scores: Mapping[NodeName, Mapping[str, Score]], chosen: NodeName | None = None
) -> tuple[Candidate, ...]:
    """By name. Where there are more than are told of: the chosen one, then those that scored."""
    nodes: list[_Asked] = [(view.name, None) for view in survey.feasible]
    nodes += [(found.node, found) for found in survey.exclusions]
    if len(nodes) > MOST_TOLD:
        nodes = list(islice(_foremost(nodes, scores, chosen), MOST_TOLD))
    nodes.sort(key=itemgetter(0))
    return tuple(
        Candidate(node=name, scores=scores.get(name, {}), exclusion=excluded) for name, excluded in nodes
    )


def _foremost(
    nodes: Sequence[_Asked], scores: Container[NodeName], chosen: NodeName | None
) -> Iterator[_Asked]:
    """Each once: the chosen one; who scored, those with room first, as `nodes` are; who did not, last who never can take it."""
    yield from (one for one in nodes if one[0] == chosen)
    yield from (one for one in nodes if one[0] in scores and one[0] != chosen)
    rest = [one for one in nodes if one[0] not in scores and one[0] != chosen]
    yield from (one for one in rest if one[1] is None or not one[1].permanent)
    yield from (one for one in rest if one[1] is not None and one[1].permanent)


def _more(survey: Survey, told: Sequence[Candidate]) -> Mapping[ReasonCode | None, int]:
    """The nodes that are not told of, counted."""
    if len(told) == len(survey.feasible) + len(survey.exclusions):
        return {}
    counts: Counter[ReasonCode | None] = Counter(found.code for found in survey.exclusions)
    counts[None] = len(survey.feasible)
    counts.subtract(one.exclusion.code if one.exclusion else None for one in told)
    return +counts


def _only(survey: Survey) -> str:
    """That there was no choice, and what kept the others out; nothing where there was one, or where a plan made it."""
    if len(survey.feasible) > 1 or any(out.code is ReasonCode.NOT_PLANNED for out in survey.exclusions):
        return ""
    if not survey.exclusions:
        return "the only node; "
    lasting = all(found.permanent for found in survey.exclusions)
    scope = "that can ever take it" if lasting else "with room now"
    others: dict[str, list[str]] = {}
    for found in sorted(survey.exclusions, key=lambda found: found.permanent):
        others.setdefault(kept_out(found.code), []).append(found.node)
    told = "; ".join(f"{named(nodes)} {why}" for why, nodes in others.items())
    return f"the only node {scope} ({told}); "


def _ignored(feasible: Sequence[NodeView], cluster: Cluster) -> str:
    unknown = [view.name for view in feasible if unmeasured(view, cluster)]
    if not unknown:
        return ""
    limit = f"{cluster.staleness_limit.total_seconds():g} s"
    return f" (metrics of {named(unknown)} unknown or older than {limit})"


def named(names: Sequence[str]) -> str:
    """A list for a sentence that stays short: `n1, n2, n3 and 4 more`."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def others(figures: Mapping[NodeName, str], chosen: NodeName) -> str:
    """What the other candidates scored, for the end of a sentence: `; n2 50 %, n3 75 % and 2 more`."""
    told = [f"{name} {figure}" for name, figure in figures.items() if name != chosen]
    return f"; {named(told)}" if told else ""
