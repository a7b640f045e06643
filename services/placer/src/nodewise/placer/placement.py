"""What every strategy shares: who can take a task, the bookings of the decisions before it, and how a decision is told.

A strategy is then one function, `Chooser`: from the nodes that can take a task (never empty) to the one it takes.
"""

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion, not_admitted
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
_NO_SCORES: Final[Mapping[str, Score]] = MappingProxyType({})
_KINDS_KNOWN: Final = 16
"""So many kinds of tasks are remembered with what the nodes said to them."""
NAMED: Final = 3
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


class _Answers:
    """What all nodes say to those who want the same, kept up as nodes are booked."""

    def __init__(self, need: Resources, wanted: Requirements, names: Iterable[NodeName]) -> None:
        self._need = need
        self._wanted = wanted
        self._found: dict[NodeName, tuple[NodeView, Exclusion | None]] = {}
        self._to_ask: Iterable[NodeName] = names

    def are_for(self, need: Resources, wanted: Requirements) -> bool:
        return need == self._need and wanted == self._wanted

    def of(
        self, spec: TaskSpec, views: Mapping[NodeName, NodeView], cluster: Cluster
    ) -> Collection[tuple[NodeView, Exclusion | None]]:
        """Every node with what it says, by name."""
        for name in self._to_ask:
            self._found[name] = (views[name], exclusion(spec, views[name], cluster))
        self._to_ask = []
        return self._found.values()

    def ask_again(self, name: NodeName) -> None:
        self._to_ask = [*self._to_ask, name]


class WorkingCluster:
    """A snapshot that is booked on while decisions are made. Mutable within one call of a strategy only."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._views = {view.name: view for view in cluster.nodes}
        self._known: list[_Answers] = []
        self._candidates: dict[NodeName, Candidate] = {}

    @cached_property
    def unmeasured(self) -> frozenset[NodeName]:
        """The nodes of which some figure is unknown or too old to decide on. No booking changes that."""
        return frozenset(view.name for view in self.cluster.nodes if unmeasured(view, self.cluster))

    def survey(self, task: WaitingTask) -> Survey:
        """Ask every node, in name order. O(nodes); who wants the same as one before asks only who was booked since."""
        found = self._answers(task.spec).of(task.spec, self._views, self.cluster)
        if task.allowed_nodes is not None:
            found = [(view, out or not_admitted(task, view)) for view, out in found]
        return Survey(
            feasible=tuple([view for view, out in found if out is None]),
            exclusions=tuple([out for _, out in found if out is not None]),
        )

    def _answers(self, spec: TaskSpec) -> _Answers:
        need, wanted = effective_resources(spec), spec.requirements
        for answers in self._known:
            if answers.are_for(need, wanted):
                return answers
        self._known.append(_Answers(need, wanted, self._views))
        del self._known[:-_KINDS_KNOWN]
        return self._known[-1]

    def candidate(
        self, name: NodeName, scores: Mapping[str, Score] = _NO_SCORES, excluded: Exclusion | None = None
    ) -> Candidate:
        """A candidate of these; the very one that was made last of the node where it was made of the very same."""
        known = self._candidates.get(name)
        if known is None or known.scores is not scores or known.exclusion is not excluded:
            known = self._candidates[name] = Candidate(node=name, scores=scores, exclusion=excluded)
        return known

    def has(self, name: NodeName) -> bool:
        return name in self._views

    def view(self, name: NodeName) -> NodeView:
        """The node as it is booked by now."""
        return self._views[name]

    def book(self, name: NodeName, resources: Resources) -> None:
        self._views[name] = self._views[name].with_booking(resources)
        for answers in self._known:
            answers.ask_again(name)

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
        return no_room(task, survey, working)
    choice = choose(task, most_preferred(task, survey.feasible))
    if isinstance(choice, Wait):
        reason = Reason(code=ReasonCode.STRATEGY_RULE, text=choice.text)
        return _deferral(task, survey, working, reason=reason)
    working.book(choice.node, effective_resources(task.spec))
    return placement(task, survey, choice, working=working)


def placement(task: WaitingTask, survey: Survey, choice: Choice, *, working: WorkingCluster) -> Placement:
    """The choice, told with what else decided: preferences, what was left to choose from, figures that are missing."""
    preferred = most_preferred(task, survey.feasible)
    candidates = _candidates(survey, choice, working)
    lead = "preferred by the task; " if len(preferred) < len(survey.feasible) else _only(survey)
    return Placement(
        ref=task.ref,
        node=choice.node,
        reason=Reason(code=ReasonCode.PLACED, text=lead + choice.text + _ignored(survey.feasible, working)),
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


def no_room(task: WaitingTask, survey: Survey, working: WorkingCluster) -> Deferral:
    """Why nobody can take the task now. What was admitted to one node only goes back because of that node."""
    only = task.allowed_nodes if task.allowed_nodes is not None and len(task.allowed_nodes) == 1 else ()
    reason = refusal(task.spec, survey.exclusions)
    if only and survey.exclusions and reason.code is ReasonCode.NO_ROOM:
        here = next((found.text for found in survey.exclusions if found.node == only[0]), None)
        why = "is not in the cluster any more" if here is None else f"cannot take it any more: {here}"
        reason = Reason(code=reason.code, text=f"{only[0]}, which it was admitted to, {why}")
    return _deferral(task, survey, working, reason=reason)


def _deferral(task: WaitingTask, survey: Survey, working: WorkingCluster, *, reason: Reason) -> Deferral:
    return Deferral(ref=task.ref, reason=reason, candidates=_candidates(survey, None, working))


def _candidates(survey: Survey, choice: Choice | None, working: WorkingCluster) -> tuple[Candidate, ...]:
    """By name. Where there are more than are told of: the chosen one, then those that scored."""
    scores = choice.scores if choice else {}
    if len(survey.feasible) + len(survey.exclusions) <= MOST_TOLD:
        nodes = _asked(survey)
    else:
        nodes = islice(_foremost(survey, scores, choice.node if choice else None), MOST_TOLD)
    found = [working.candidate(name, scores.get(name, _NO_SCORES), excluded) for name, excluded in nodes]
    return tuple(sorted(found, key=attrgetter("node")))


def _asked(survey: Survey) -> Iterator[_Asked]:
    """Those with room first."""
    return chain(
        ((view.name, None) for view in survey.feasible), ((found.node, found) for found in survey.exclusions)
    )


def _foremost(survey: Survey, scores: Container[NodeName], chosen: NodeName | None) -> Iterator[_Asked]:
    """Each once: the chosen one; who scored, those with room first; who did not, last who never can take it."""
    if chosen is not None:
        yield chosen, None
    yield from (one for one in _asked(survey) if one[0] in scores and one[0] != chosen)
    rest = [one for one in _asked(survey) if one[0] not in scores and one[0] != chosen]
    yield from (one for one in rest if one[1] is None or not one[1].permanent)
    yield from (one for one in rest if one[1] is not None and one[1].permanent)


def _more(survey: Survey, told: Sequence[Candidate]) -> Mapping[ReasonCode | None, int]:
    """The nodes that are not told of, counted."""
    if len(told) == len(survey.feasible) + len(survey.exclusions):
        return {}
    out = [one.exclusion.code for one in told if one.exclusion]
    counts: Counter[ReasonCode | None] = Counter([found.code for found in survey.exclusions])
    counts[None] = len(survey.feasible) - (len(told) - len(out))
    counts.subtract(out)
    return +counts


def _only(survey: Survey) -> str:
    """That there was no choice, and what kept the others out; nothing where there was one, or where a plan made it."""
    if len(survey.feasible) > 1 or any(out.code is ReasonCode.NOT_PLANNED for out in survey.exclusions):
        return ""
    if not survey.exclusions:
        return "the only node; "
    lasting = all(found.for_ever for found in survey.exclusions)
    scope = "that can ever take it" if lasting else "with room now"
    others: dict[str, list[str]] = {}
    for found in sorted(survey.exclusions, key=lambda found: found.permanent):
        others.setdefault(kept_out(found.code), []).append(found.node)
    told = "; ".join(f"{named(nodes)} {why}" for why, nodes in others.items())
    return f"the only node {scope} ({told}); "


def _ignored(feasible: Sequence[NodeView], working: WorkingCluster) -> str:
    old = working.unmeasured
    unknown = [view.node.name for view in feasible if view.node.name in old] if old else []
    if not unknown:
        return ""
    limit = f"{working.cluster.staleness_limit.total_seconds():g} s"
    return f" (metrics of {named(unknown)} unknown or older than {limit})"


def named(names: Sequence[str]) -> str:
    """A list for a sentence that stays short: `n1, n2, n3 and 4 more`."""
    return listed(names[:NAMED], len(names))


def listed(told: Sequence[str], count: int) -> str:
    """The first of so many, for a sentence."""
    return ", ".join(told) + (f" and {count - len(told)} more" if count > len(told) else "")


def others(names: Collection[NodeName], chosen: NodeName, figure: Callable[[NodeName], str]) -> str:
    """What the others scored, the chosen one being among the names, for the end of a sentence: `; n2 50 %, n3 75 % and 2 more`."""
    told = islice((name for name in names if name != chosen), NAMED)
    return (
        f"; {listed([f'{name} {figure(name)}' for name in told], len(names) - 1)}" if len(names) > 1 else ""
    )
