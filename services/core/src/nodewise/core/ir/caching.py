"""Whether a task's result is there already: a key of all that decides it, and why another one did not fit.

The key is made of the content: what the component is, the values of its inputs, the digests of its artifacts, what it should leave.
Where a task runs, what it may use and what it is called decide nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Final

from nodewise.core.errors import TooMuchText
from nodewise.core.ir.needs import values_only
from nodewise.core.ir.placeholders import Resolver, expand_text
from nodewise.core.ir.tree import Leaf, Step
from nodewise.core.model.artifact import ArtifactRef, Values
from nodewise.core.model.component import ImportWork, PythonWork

_VERSION: Final = 2
"""Raised when equal tasks must no longer have equal keys."""
_LONGEST_SHOWN: Final = 60
_OWN: Final = "cache key"
"""The part that an author's own key is."""
_TEAM: Final = "team"
_DEFAULT_TEAM: Final = "default"
"""Its keys have no part for the team, so that results from before there were teams stay."""


class Miss(StrEnum):
    """Why a lookup found nothing."""

    DISABLED = "caching is off for this task"
    NEVER_RAN = "this component has not succeeded before"
    DIFFERS = "no earlier task was the same"
    UNKNOWN_CONTENT = "the content of an artifact is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPart:
    """One thing that decides the result. `shown` is for people, and empty for what would be too long to read."""

    digest: str
    shown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """What a result is kept under: `digest`, made of the parts. The parts are kept beside it, to explain misses."""

    digest: str
    parts: Mapping[str, KeyPart] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissReason:
    """Why a lookup found nothing; `parts` are what differs from the nearest earlier task, with both values."""

    miss: Miss
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.miss}: {'; '.join(self.parts)}" if self.parts else str(self.miss)


class ContentUnknown(LookupError):
    """An artifact has no digest: what it holds may change under its address."""

    def __init__(self, input_name: str) -> None:
        self.input_name = input_name
        super().__init__(f"the content of {input_name!r} is not known")


def cache_key(
    step: Step,
    leaf: Leaf,
    inputs: Values,
    *,
    digests: Mapping[str, str],
    dataset: str | None = None,
    team: str = _DEFAULT_TEAM,
) -> CacheKey:
    """The key of a task that is ready.

    What a component is called decides nothing, so that equal calls share a result, in one pipeline or in several. With a key of the
    author's own, that decides, beside the component's name and what it leaves.

    Args:
        step: of the task; its `cache` is what the author said.
        leaf: its component.
        inputs: as resolved.
        digests: of the content of its artifacts, by address.
        dataset: where the registered data set is that it names, an address made of its content.
        team: whose run it is of. Results are shared within a team: with a key of the author's own, another team could take
            them by guessing it.

    Raises:
        ContentUnknown: an artifact without a digest.
    """
    parts: dict[str, KeyPart] = {}
    if step.cache.key:
        parts.update({"component": _shown(leaf.component), _OWN: _shown(step.cache.key)})
    else:
        try:
            parts.update(_of_work(leaf, values_only(inputs)))
        except TooMuchText as error:
            raise ContentUnknown("environment") from error
        parts.update(_of_inputs(leaf, inputs, digests))
        if dataset is not None:
            parts["data set"] = _hidden(dataset)
    parts["outputs"] = _of_outputs(leaf)
    if team != _DEFAULT_TEAM:
        parts[_TEAM] = _hidden(team)
    digest = _digest([_VERSION, {name: part.digest for name, part in parts.items()}])
    return CacheKey(digest=digest, parts=parts)


def _of_work(leaf: Leaf, resolve: Resolver) -> dict[str, KeyPart]:
    work = leaf.work
    if isinstance(work, ImportWork):
        return {"import": _hidden([work.uri, work.uri_input, dict(work.metadata), work.schema_title])}
    environment = {name: expand_text(text, resolve) for name, text in work.environment.items()}
    parts = {"image": _shown(expand_text(work.image, resolve)), "environment": _hidden(environment)}
    if isinstance(work, PythonWork):
        packages = [*work.packages, *work.pip_options]
        return {**parts, "code": _hidden([work.source, work.function]), "packages": _shown(packages)}
    return {**parts, "command": _hidden([asdict(word) for word in (*work.command, *work.args)])}


def _of_inputs(leaf: Leaf, inputs: Values, digests: Mapping[str, str]) -> dict[str, KeyPart]:
    """Declared inputs only: what others there are went into the image and the environment, or into limits."""
    parts = {
        f"parameter {name}": _shown(value)
        for name, value in sorted(inputs.parameters.items())
        if name in leaf.signature.input_parameters
    }
    for name, artifacts in sorted(inputs.artifacts.items()):
        found = [_content(name, artifact, digests) for artifact in artifacts]
        parts[f"artifact {name}"] = _hidden(found)
    return parts


def _of_outputs(leaf: Leaf) -> KeyPart:
    parameters, artifacts = leaf.signature.output_parameters, leaf.signature.output_artifacts
    return _hidden(
        {
            "parameters": {name: spec.kind for name, spec in parameters.items()},
            "artifacts": {name: spec.schema_title for name, spec in artifacts.items()},
        }
    )


def _content(name: str, artifact: ArtifactRef, digests: Mapping[str, str]) -> list[object]:
    digest = digests.get(artifact.uri)
    if digest is None:
        raise ContentUnknown(name)
    return [digest, artifact.schema_title, dict(artifact.metadata)]


def team_digest(key: CacheKey) -> str | None:
    """What the keys of a team have in common; None: of the default team."""
    return _digest_of(key.parts.get(_TEAM))


def may_be_cached(step: Step, leaf: Leaf) -> bool:
    """Whether an earlier result may stand for this task's: the author allowed it, and a fresh import was not asked for."""
    reimport = isinstance(leaf.work, ImportWork) and leaf.work.reimport
    return step.cache.enabled and not reimport


def explain_miss(step: Step, leaf: Leaf, wanted: CacheKey, known: Iterable[CacheKey]) -> MissReason:
    """Why none of the known keys is the wanted one.

    Args:
        step: of the task.
        leaf: its component.
        wanted: the key that was looked up.
        known: keys of earlier successes of the same component, latest first.

    Returns:
        What differs from the nearest of them: the fewest parts, then the latest.
    """
    if not may_be_cached(step, leaf):
        return MissReason(miss=Miss.DISABLED)
    differences = [_differences(wanted, key) for key in known]
    if not differences:
        return MissReason(miss=Miss.NEVER_RAN)
    return MissReason(miss=Miss.DIFFERS, parts=min(differences, key=len))


def _differences(wanted: CacheKey, known: CacheKey) -> tuple[str, ...]:
    if (_OWN in wanted.parts) is not (_OWN in known.parts):
        # A key of the author's own stands for all the rest, which cannot be compared with it.
        return (_difference(_OWN, known.parts.get(_OWN), wanted.parts.get(_OWN)),)
    names = [*wanted.parts, *(name for name in known.parts if name not in wanted.parts)]
    return tuple(
        _difference(name, known.parts.get(name), wanted.parts.get(name))
        for name in names
        if _digest_of(known.parts.get(name)) != _digest_of(wanted.parts.get(name))
    )


def _difference(name: str, before: KeyPart | None, now: KeyPart | None) -> str:
    if before is None:
        return f"{name} is new"
    if now is None:
        return f"{name} is gone"
    if before.shown and now.shown:
        return f"{name} was {before.shown}, is {now.shown}"
    return f"{name} differs"


def _digest_of(part: KeyPart | None) -> str | None:
    return part.digest if part else None


def _shown(value: object) -> KeyPart:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return KeyPart(digest=_digest(value), shown=text if len(text) <= _LONGEST_SHOWN else "")


def _hidden(value: object) -> KeyPart:
    return KeyPart(digest=_digest(value))


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
