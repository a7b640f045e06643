"""What would fail in every run, whatever it is given: known from the constants alone, and so refused before anything runs.

Items of loops that are written in the pipeline are followed to where they are used, by the functions that resolve inputs in a run, as far as
it is certain that a run comes there. What depends on parameters, outputs or branches is not judged, nor is anything enormous.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from nodewise.core.errors import InvalidPipeline, TooMuchText, UnresolvedInput
from nodewise.core.ir.evaluation import ExpressionFailed
from nodewise.core.ir.expressions import inputs_of
from nodewise.core.ir.guard import at, parts
from nodewise.core.ir.inference import ANYTHING, Exactly, Guess, OneOf, verdict
from nodewise.core.ir.parameters import as_text
from nodewise.core.ir.placeholders import Part, expand, has_placeholder, references
from nodewise.core.ir.resolve import accepted, loop_items, selected
from nodewise.core.ir.tree import Constant, Dag, FromInput, ParameterBinding, ParameterLoop, Program, Step
from nodewise.core.model.artifact import Values
from nodewise.core.model.component import Parameter, ValueKind

_HEAVY: Final = 200
"""Values, and hundreds of characters, beyond which an item is not followed: it would be, for every task that uses it."""
_ADVICE: Final = "change the item, or the type of the input"
_KINDS: Final[Mapping[ValueKind, str]] = {
    ValueKind.STRING: "text",
    ValueKind.NUMBER_INTEGER: "number",
    ValueKind.NUMBER_DOUBLE: "number",
    ValueKind.BOOLEAN: "boolean",
    ValueKind.LIST: "a list",
    ValueKind.STRUCT: "an object",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A value that is the same in every run, and where in the IR it comes from."""

    value: object
    origin: str


_Knowns = Mapping[str, _Known]


def check_foreseeable(program: Program, *, fractions: bool = False) -> None:
    """Refuse a pipeline of which something fails in every run that comes to it.

    Literal items of loops and conditions are checked wherever they stand. O(tasks and iterations that a run may have).

    Args:
        program: the pipeline.
        fractions: a whole number may have a fraction; KFP's own back end is so lenient.

    Raises:
        InvalidPipeline: an item, or a part of one, that an input does not take; a condition that can never be decided.
    """
    foresight = _Foresight(fractions=fractions, left=program.max_instances)
    for dag, path in _dags(program):
        for step in dag.steps:
            foresight.check_alone(step, _place(path, step))
    foresight.follow(program.root, "root", {})


def _dags(program: Program) -> Iterator[tuple[Dag, str]]:
    seen, pending = {id(program.root)}, [program.root]
    while pending:
        dag = pending.pop()
        yield dag, "root" if dag is program.root else at("components", dag.name)
        for step in dag.steps:
            if isinstance(step.component, Dag) and id(step.component) not in seen:
                seen.add(id(step.component))
                pending.append(step.component)


def _place(path: str, step: Step) -> str:
    return at(at(path, "dag.tasks"), step.name)


@dataclass(slots=True, kw_only=True)
class _Foresight:
    """`left` is how many steps may still be followed: a run would have no more."""

    fractions: bool
    left: int

    def check_alone(self, step: Step, path: str) -> None:
        """What can be said of a step wherever it is used."""
        self._verdict(step, self._given(step, {}, path), path)
        if isinstance(step.loop, ParameterLoop):
            for index, item in enumerate(step.loop.items or ()):
                self._taken(step, _Known(value=item, origin=_origin(path, index)), path)

    def follow(self, dag: Dag, path: str, known: _Knowns) -> None:
        """One instance of a DAG that a run certainly comes to, step by step, without what may be skipped."""
        running: set[str] = set()
        for step in dag.steps:
            if self.left <= 0:
                return
            self.left -= 1
            if not step.always and not running.issuperset(step.upstream):
                continue
            place = _place(path, step)
            given = self._given(step, known, place)
            if self._verdict(step, given, place):
                running.add(step.name)
                self._enter(step, given, place)

    def _enter(self, step: Step, given: _Knowns, path: str) -> None:
        component = step.component
        inside = at("components", component.name)
        if step.loop is None:
            if isinstance(component, Dag):
                self.follow(component, inside, given)
            return
        for item in _items(step, given, path):
            taken = self._taken(step, item, path)
            if isinstance(component, Dag):
                name = step.loop.item_input
                light = {name: taken} if _is_light(taken.value) else {}
                self.follow(component, inside, {**given, **light})

    def _taken(self, step: Step, item: _Known, path: str) -> _Known:
        """An item of the step's loop as its component gets it. A null goes in as it is."""
        name = step.loop.item_input if step.loop else ""
        if item.value is None or name not in step.component.signature.input_parameters:
            return item
        return self._accepted(step, name, item, path)

    def _given(self, step: Step, known: _Knowns, path: str) -> dict[str, _Known]:
        """Those of a step's inputs that are known. The item of its own loop is not among them yet."""
        found = _sources(step, known, path)
        if step.loop is not None:
            found.pop(step.loop.item_input, None)
        declared = step.component.signature.input_parameters
        return {
            name: self._accepted(step, name, one, path) if name in declared else one
            for name, one in found.items()
        }

    def _accepted(self, step: Step, name: str, known: _Known, path: str) -> _Known:
        parameter = step.component.signature.input_parameters[name]
        value = known.value
        if _takes_anything(parameter) and value is not None:
            return known
        if self.fractions and parameter.kind is ValueKind.NUMBER_INTEGER and isinstance(value, float):
            return known
        try:
            return _Known(value=accepted(step, name, value, path=path), origin=known.origin)
        except UnresolvedInput as error:
            raise _refusal(known.origin, name, path, error) from error

    def _verdict(self, step: Step, given: _Knowns, path: str) -> bool | None:
        """Whether the step's condition, if it has one, is met; None: not known."""
        if step.condition is None:
            return True
        guesses = {}
        for name in inputs_of(step.condition):
            guess = _guess(step, name, given)
            if guess is not None:
                guesses[name] = guess
        try:
            return verdict(step.condition, guesses)
        except ExpressionFailed as error:
            rule = f"can never be decided: {error}; compare values of one type, and inputs that the task has"
            raise InvalidPipeline(at(path, "triggerPolicy.condition"), rule) from error


def _refusal(origin: str, name: str, path: str, error: UnresolvedInput) -> InvalidPipeline:
    return InvalidPipeline(origin, f"{error.rule}, for the input {name[:80]!r} of {path}; {_ADVICE}")


def _origin(path: str, index: int) -> str:
    return at(at(path, "parameterIterator.items.raw"), index)


def _takes_anything(parameter: Parameter) -> bool:
    """Text takes anything as JSON."""
    return parameter.kind is ValueKind.STRING and not parameter.literals


def _sources(step: Step, known: _Knowns, path: str) -> dict[str, _Known]:
    """What is known of where a step's inputs come from, and of the parts that they take."""
    raw = {}
    for name, binding in step.parameters.items():
        one = _source(binding, known, at(path, f"inputs.parameters.{name}"))
        if one is not None:
            raw[name] = _part(name, binding, one, path)
    filled = {
        name: _filled(one, raw) if isinstance(step.parameters[name].source, Constant) else one
        for name, one in raw.items()
    }
    return {name: one for name, one in filled.items() if one is not None}


def _source(binding: ParameterBinding, known: _Knowns, path: str) -> _Known | None:
    source = binding.source
    if isinstance(source, FromInput):
        return known.get(source.name)
    if isinstance(source, Constant) and not isinstance(source.value, list | dict) and _is_light(source.value):
        return _Known(value=source.value, origin=at(path, "runtimeValue.constant"))
    return None


def _part(name: str, binding: ParameterBinding, whole: _Known, path: str) -> _Known:
    try:
        return _Known(value=selected(name, binding, whole.value, path=path), origin=whole.origin)
    except UnresolvedInput as error:
        raise _refusal(whole.origin, name, path, error) from error


def _filled(one: _Known, raw: _Knowns) -> _Known | None:
    """The value with its placeholders filled in; None where one of them is not known."""
    if not isinstance(one.value, str) or not has_placeholder(one.value):
        return one
    named = list(references(one.value))
    if not named or any(each.part is not Part.INPUT_PARAMETER or each.name not in raw for each in named):
        return None
    try:
        value = expand(one.value, lambda reference: raw[reference.name].value)
    except TooMuchText:
        return None
    return _Known(value=value, origin=raw[named[0].name].origin)


def _items(step: Step, given: _Knowns, path: str) -> Iterator[_Known]:
    """The items of a step's loop, if they are known."""
    loop = step.loop
    if not isinstance(loop, ParameterLoop):
        return
    if loop.items is not None:
        origins = (_origin(path, index) for index in range(len(loop.items)))
        yield from (
            _Known(value=item, origin=origin) for item, origin in zip(loop.items, origins, strict=True)
        )
    elif loop.items_input in given:
        whole = given[loop.items_input]
        values = Values(parameters={loop.items_input: whole.value})
        try:
            items = loop_items(step, values, path=path)
        except UnresolvedInput as error:
            raise _refusal(whole.origin, loop.items_input, path, error) from error
        for index, item in enumerate(items):
            yield _Known(value=item, origin=at(whole.origin, index))


def _guess(step: Step, name: str, given: _Knowns) -> Guess | None:
    """What a condition sees of an input; None where that has no value."""
    declared = step.component.signature.input_parameters
    if (
        step.loop is not None
        and name == step.loop.item_input
        and (name in declared or name not in step.parameters)
    ):
        return None
    kind = declared[name].kind if name in declared else None
    if name in given:
        value = given[name].value
        return Exactly(value=as_text(value) if kind is ValueKind.STRING and value is not None else value)
    if kind is None:
        return ANYTHING
    return OneOf(kinds=frozenset({_KINDS.get(kind, "an object"), "null"}))


def _is_light(value: object) -> bool:
    weight = 0
    for part, _, _ in parts(value):
        texts = part if isinstance(part, dict) else (part,)
        weight += 1 + sum(len(text) // 100 for text in texts if isinstance(text, str))
        if weight > _HEAVY:
            return False
    return True
