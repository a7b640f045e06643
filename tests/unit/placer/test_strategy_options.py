import json
from pathlib import Path

import pytest

from nodewise.core import plugins
from nodewise.core.errors import InvalidOptions
from nodewise.placer.options import load_options


def load(folder: Path, content: object) -> object:
    file = folder / "options.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_options(str(file), plugins.strategies())


def test_no_file_means_no_options() -> None:
    assert load_options(None, plugins.strategies()) == {}


def test_options_are_read_by_strategy_name(tmp_path: Path) -> None:
    rules = {"rules": [{"name": "all", "sort": ["cores"]}]}
    assert load(tmp_path, {"custom": rules}) == {"custom": rules}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{not json", "options.json"),
        ([1], "must be an object"),
        ({"psychic": {}}, "no such strategy; known: cpop, custom"),
        ({"greedy": 3}, "must be an object"),
        ({"custom": {"rules": [{"name": "x", "sort": ["speed"]}]}}, "rules.0.sort"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_place(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(InvalidOptions, match=said):
        load(tmp_path, content)


def test_a_file_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="No such file"):
        load_options(str(tmp_path / "none.json"), {})
