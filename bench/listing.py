"""What there is to measure, for `--help`: a line each."""

from collections.abc import Mapping
from types import ModuleType


def listing(modules: Mapping[str, ModuleType]) -> str:
    """Every name with what its module says of itself in the first line of its docstring."""
    width = max(map(len, modules))
    return "\n".join(f"  {name:<{width}}  {_summary(name, module)}" for name, module in modules.items())


def _summary(name: str, module: ModuleType) -> str:
    first = (module.__doc__ or "").strip().partition("\n")[0]
    return first.removeprefix(f"Part {name}: ")
