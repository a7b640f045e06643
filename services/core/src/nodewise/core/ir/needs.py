"""What a task needs of its node, once its inputs are known: limits may come from parameters."""

from dataclasses import dataclass, replace
from functools import lru_cache

from nodewise.core.errors import InvalidPipeline, UnresolvedInput
from nodewise.core.ir.amounts import Quantities, resource_texts
from nodewise.core.ir.placeholders import Part, Reference, Resolver, expand_text, has_placeholder
from nodewise.core.ir.tree import Leaf
from nodewise.core.model.artifact import Values
from nodewise.core.model.component import ImportWork, ResourceTexts
from nodewise.core.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What is booked for an attempt, and what its process may use. As everywhere, None is the node's own."""

    resources: Resources
    accelerator: str | None = None
    memory_limit_mib: int | None = None


def needs_before(leaf: Leaf) -> Needs | None:
    """What it needs as far as that is known before its inputs are; None where an amount comes from a parameter."""
    texts = () if isinstance(leaf.work, ImportWork) else resource_texts(leaf.work.resources)
    if any(has_placeholder(text) for text in texts):
        return None
    return needs(leaf, Values(), path=leaf.name)


def needs(leaf: Leaf, inputs: Values, *, path: str) -> Needs:
    """What a task needs of its node. Limits may come from parameters, so this is known only once it is ready.

    Raises:
        UnresolvedInput: an amount that is none.
    """
    if isinstance(leaf.work, ImportWork):
        return Needs(resources=Resources())
    texts = leaf.work.resources
    if any(has_placeholder(text) for text in resource_texts(texts)):
        texts = filled(texts, values_only(inputs))
    try:
        return _read(texts, leaf.label)
    except InvalidPipeline as error:
        raise UnresolvedInput(path, error.path.rsplit(".", 1)[-1], error.rule) from error


@lru_cache(maxsize=1024)
def _read(texts: ResourceTexts, label: str) -> Needs:
    """Read once: a component is the same in all tasks of it."""
    quantities = Quantities(texts, f"deploymentSpec.executors.{label}.container.resources")
    return Needs(
        resources=quantities.booked(),
        accelerator=quantities.accelerator(),
        memory_limit_mib=quantities.memory_limit_mib(),
    )


def filled(texts: ResourceTexts, resolve: Resolver) -> ResourceTexts:
    accelerator = texts.accelerator
    return replace(
        texts,
        resource_cpu_limit=expand_text(texts.resource_cpu_limit, resolve),
        resource_memory_limit=expand_text(texts.resource_memory_limit, resolve),
        resource_cpu_request=expand_text(texts.resource_cpu_request, resolve),
        resource_memory_request=expand_text(texts.resource_memory_request, resolve),
        accelerator=replace(
            accelerator,
            type=expand_text(accelerator.type, resolve),
            resource_type=expand_text(accelerator.resource_type, resolve),
            resource_count=expand_text(accelerator.resource_count, resolve),
        ),
    )


def values_only(inputs: Values) -> Resolver:
    """Puts parameters in the place of placeholders, and nothing for what is missing."""

    def resolve(reference: Reference) -> object:
        value = inputs.parameters.get(reference.name) if reference.part is Part.INPUT_PARAMETER else None
        return "" if value is None else value

    return resolve
