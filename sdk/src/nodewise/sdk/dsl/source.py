"""The source text that travels: a function as it stands in the file, with a signature that KFP's executor understands.

Only the function's own text reaches a node, behind KFP's imports. Its annotations are therefore written again in
KFP's names (`In[Dataset]` becomes `Input[Dataset]`, whatever the user imported it as), its defaults as literals;
its body stays as it is. Names that the body takes from its module would be missing there: they are refused here.
"""

import ast
import builtins
import dis
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final

from nodewise.sdk import runtime
from nodewise.sdk.dsl.artifacts import ARTIFACTS
from nodewise.sdk.dsl.errors import PipelineError, Place
from nodewise.sdk.dsl.signature import Input, Output, Signature

_READS_GLOBAL: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_FROM_SDK: Final = {"dataset_path": runtime.dataset_path}


def emitted_source(function: Callable[..., Any], signature: Signature, *, place: Place) -> str:
    """The function's text for a node: imports from the SDK that it needs, a new signature, the old body.

    Raises:
        PipelineError: it cannot be read, or uses what would not be there.
    """
    imports = _imports(function, place)
    header = f"def {function.__name__}({_parameters(signature)}){_returns(signature)}:"
    prelude = "".join(f"{line}\n" for line in imports) + ("\n\n" if imports else "")
    return prelude + header + _body(function, place)


def _body(function: Callable[..., Any], place: Place) -> str:
    source = _source(function, place)
    node = ast.parse(source).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise PipelineError(
            place, f"task {function.__name__!r} must be a plain def (not async, not a lambda)"
        )
    first = node.body[0]
    decorators = getattr(first, "decorator_list", [])
    line = min([first.lineno, *(decorator.lineno for decorator in decorators)])
    lines = source.splitlines(keepends=True)
    before = lines[line - 1].encode()[: first.col_offset].decode()
    if before.strip():
        return " " + "".join([lines[line - 1][len(before) :], *lines[line:]])
    return "\n" + "".join(lines[line - 1 :])


def _source(function: Callable[..., Any], place: Place) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except OSError as error:
        raise PipelineError(
            place, f"the source of {function.__name__!r} cannot be read: define it in a file"
        ) from error


def _parameters(signature: Signature) -> str:
    texts: list[str] = []
    for item in signature.arguments:
        if isinstance(item, Input) and item.keyword_only and "*" not in texts:
            texts.append("*")
        texts.append(
            _parameter(item, after_star="*" in texts, after_default=any("=" in text for text in texts))
        )
    return ", ".join(texts)


def _parameter(item: Input | Output, *, after_star: bool, after_default: bool) -> str:
    if isinstance(item, Output):
        # Python wants defaults at the end; KFP's executor always passes a written artifact.
        return f"{item.name}: Output[{item.type.__name__}]" + (
            " = None" if after_default and not after_star else ""
        )
    text = f"{item.name}: {_type(item)}"
    return f"{text} = {item.default!r}" if item.has_default else text


def _type(item: Input) -> str:
    if item.is_status:
        return "PipelineTaskFinalStatus"
    if item.is_artifact:
        kind = f"List[{item.type.__name__}]" if item.many else item.type.__name__
        return f"Input[{kind}]"
    return item.type.__name__


def _returns(signature: Signature) -> str:
    if not signature.returned:
        return ""
    if len(signature.returned) == 1 and signature.returned[0].name == "Output":
        return f" -> {signature.returned[0].type.__name__}"
    fields = ", ".join(f"({output.name!r}, {output.type.__name__})" for output in signature.returned)
    return f" -> NamedTuple('Outputs', [{fields}])"


def _imports(function: Callable[..., Any], place: Place) -> list[str]:
    lines = []
    for name, line in sorted(_foreign_names(function).items()):
        if not _is_ours(function, name):
            raise PipelineError(
                Place(file=place.file, line=line or place.line),
                f"task {function.__name__!r} uses {name!r} from outside itself, but only its own text travels to a node: "
                f"import or define {name!r} inside the function",
            )
        lines.append(f"from nodewise.sdk import dataset_path as {name}")
    return lines


def _is_ours(function: Callable[..., Any], name: str) -> bool:
    return any(function.__globals__.get(name) is item for item in _FROM_SDK.values())


def _foreign_names(function: Callable[..., Any]) -> dict[str, int | None]:
    """Names that the body reads from its module or from around it, with the line of the first use."""
    found: dict[str, int | None] = dict.fromkeys(function.__code__.co_freevars)
    for name, line in _global_reads(function.__code__):
        if name in function.__globals__ and not _is_there_anyway(function, name):
            found.setdefault(name, line)
    return found


def _global_reads(code: types.CodeType) -> Iterator[tuple[str, int | None]]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in _READS_GLOBAL:
            yield instruction.argval, instruction.positions.lineno if instruction.positions else None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_reads(constant)


def _is_there_anyway(function: Callable[..., Any], name: str) -> bool:
    """Whether KFP's imports (kfp.dsl and typing, all names) or Python itself give the body the same thing."""
    value = function.__globals__[name]
    if name == function.__name__ or (name.startswith("__") and name.endswith("__")):
        return True
    if any(name == artifact.__name__ and value is artifact for artifact in ARTIFACTS):
        return True
    return value is getattr(builtins, name, _ABSENT) or value is getattr(typing, name, _ABSENT)


_ABSENT: Final = object()
