"""The arguments of a call in a script, by name."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nodewise.core.compat.mlopx.texts import Source


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a call gives for each of the parameters that it may have."""

    call: ast.Call
    source: Source
    given: Mapping[str, ast.expr]

    @classmethod
    def of(cls, call: ast.Call, parameters: Sequence[str], source: Source) -> "Arguments":
        """Sort the arguments of a call.

        Raises:
            UnreadableScript: star-arguments, an argument too many, twice, or unknown.
        """
        given: dict[str, ast.expr] = {}
        for position, node in enumerate(call.args):
            if isinstance(node, ast.Starred):
                raise source.refused(node, "`*`: which arguments these are is only known when it runs")
            if position >= len(parameters):
                raise source.refused(node, f"one argument too many; it takes {', '.join(parameters)}")
            given[parameters[position]] = node
        for keyword in call.keywords:
            if keyword.arg is None:
                raise source.refused(
                    keyword.value, "`**`: which arguments these are is only known when it runs"
                )
            if keyword.arg not in parameters or keyword.arg in given:
                known = ", ".join(parameters)
                raise source.refused(
                    keyword.value, f"{keyword.arg!r} is unknown or given twice; it takes {known}"
                )
            given[keyword.arg] = keyword.value
        return cls(call, source, given)

    def required(self, name: str) -> ast.expr:
        """The argument of that name.

        Raises:
            UnreadableScript: it is not given.
        """
        if name not in self.given:
            raise self.source.refused(self.call, f"the argument {name!r} is missing")
        return self.given[name]

    def optional(self, name: str) -> ast.expr | None:
        return self.given.get(name)
