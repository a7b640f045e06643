"""The users' settings of strategies: one JSON file, checked before the first task is placed by it."""

import json
from collections.abc import Mapping
from pathlib import Path

from nodewise.core.errors import InvalidOptions
from nodewise.core.ports import Strategy


def load_options(path: str | None, strategies: Mapping[str, Strategy]) -> Mapping[str, Mapping[str, object]]:
    """Options by strategy name from a file such as `{"custom": {"rules": [...]}}`; none where there is no file.

    A strategy that has a method `check_options(options)` is asked to check its own.

    Raises:
        InvalidOptions: The file cannot be read, names a strategy that is not installed, or breaks a strategy's rule.
    """
    if path is None:
        return {}
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidOptions("strategies", path, str(error)) from error
    if not isinstance(raw, dict):
        raise InvalidOptions("strategies", path, "must be an object {strategy name: {option: value}}")
    for name, options in raw.items():
        _check(name, options, strategies)
    return raw


def _check(name: str, options: object, strategies: Mapping[str, Strategy]) -> None:
    strategy = strategies.get(name)
    if strategy is None:
        raise InvalidOptions("strategies", name, f"no such strategy; known: {', '.join(sorted(strategies))}")
    if not isinstance(options, dict):
        raise InvalidOptions("strategies", name, "must be an object {option: value}")
    check = getattr(strategy, "check_options", None)
    if check is not None:
        check(options)
