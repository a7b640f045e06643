"""The rules of the `custom` strategy, as data that validates itself."""

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nodewise.core.errors import InvalidOptions
from nodewise.core.model.node import Node
from nodewise.core.model.task import TaskKind, TaskSpec
from nodewise.placer.scores import SORT_KEYS


class Fallback(StrEnum):
    """What to do when no node that a rule allows can take the task now, but another can."""

    STRONGEST = "strongest"
    """Take the largest node that can."""
    WAIT = "wait"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Strict):
    """Applies to tasks of these kinds and model types (empty: all). The first rule that applies is the only one."""

    name: str = Field(min_length=1)
    kinds: tuple[TaskKind, ...] = ()
    models: tuple[str, ...] = ()
    worker_types: tuple[str, ...] = ()
    """Allowed ones; empty: all."""
    architectures: tuple[str, ...] = ()
    together: bool = False
    """A node where this run's other tasks ran comes first."""
    accelerator: str | None = None
    """A node with this accelerator (`any`: with one at all) comes first, until its load is above the limit."""
    accelerator_until_load: float = Field(default=1.0, ge=0, le=1)
    """Booked share of the cores above which an accelerator is not worth waiting in line for."""
    sort: tuple[str, ...] = ("load", "cores", "memory")

    @field_validator("sort")
    @classmethod
    def _known(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if key not in SORT_KEYS:
                raise ValueError(f"{key!r} is no sort key; known: {', '.join(sorted(SORT_KEYS))}")
        return keys

    def applies(self, spec: TaskSpec) -> bool:
        model = spec.model.type if spec.model else None
        return (not self.kinds or spec.kind in self.kinds) and (not self.models or model in self.models)

    def allows(self, node: Node) -> bool:
        return (not self.worker_types or node.worker_type in self.worker_types) and (
            not self.architectures or node.architecture in self.architectures
        )


class Rules(_Strict):
    """All rules, tried in order, and what to do when the one that applies allows nobody."""

    rules: tuple[Rule, ...]
    fallback: Fallback = Fallback.STRONGEST

    def rule_for(self, spec: TaskSpec) -> Rule:
        """The first that applies; one that allows and sorts by default, where none does."""
        return next((rule for rule in self.rules if rule.applies(spec)), _ANYTHING)


_ANYTHING = Rule(name="no rule applies")


def parse_rules(options: Mapping[str, object]) -> Rules:
    """The user's rules, or the shipped ones where there are no options.

    Raises:
        InvalidOptions: They break a rule; carries the place of the first one broken.
    """
    if not options:
        return shipped_rules()
    try:
        return Rules.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"]) or "(root)"
        raise InvalidOptions("strategy custom", path, first["msg"]) from error


@cache
def shipped_rules() -> Rules:
    """The rules in `custom_rules.json`, beside this file."""
    text = files("nodewise.placer.strategies").joinpath("custom_rules.json").read_text(encoding="utf-8")
    return Rules.model_validate(json.loads(text))
