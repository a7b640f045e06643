"""`make licences`: every package that is needed at run time has a licence that the repository allows."""

import importlib.util
import subprocess
import sys
from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest

SCRIPT = Path(__file__).parents[3] / "requirements" / "licences.py"
PAGE = Path(__file__).parents[3] / "docs" / "dependencies.md"


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["licences"] = module
    spec.loader.exec_module(module)
    return module


class Told:
    """A package with this metadata."""

    def __init__(self, **fields: str | list[str]) -> None:
        self.metadata = Message()
        for name, values in fields.items():
            for value in [values] if isinstance(values, str) else values:
                self.metadata[name.replace("_", "-")] = value


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT OR Apache-2.0", "License": "see file"}, "MIT OR Apache-2.0"),
        (
            {
                "Classifier": [
                    "License :: OSI Approved",
                    "License :: OSI Approved :: ISC License",
                    "Topic :: X",
                ]
            },
            "ISC License",
        ),
        ({"License": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"License": "Permission is hereby granted, " * 9}, None),
        ({"License": "Copyright 2020\nAll rights"}, None),
        ({}, None),
    ],
)
def test_what_a_package_says_of_itself(
    licences: ModuleType, fields: dict[str, str | list[str]], licence: str | None
) -> None:
    assert licences.licence_of(cast("Distribution", Told(**fields))) == licence


def test_a_licence_that_is_not_allowed_is_named(licences: ModuleType) -> None:
    def fault(licence: str | None) -> str | None:
        found: str | None = licences.Package(name="p", version="1", licence=licence).fault(
            frozenset({"MIT", "BSD-3-Clause"})
        )
        return found

    assert fault("MIT AND (BSD-3-Clause or MIT)") is None
    assert fault("MIT AND AGPL-3.0") == "not in licences.txt: AGPL-3.0"
    assert fault(None) == "names no licence"


def test_all_that_is_needed_is_allowed_and_listed() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = {line.split(" | ")[0].removeprefix("| ") for line in done.stdout.splitlines()[2:]}
    assert {"sqlalchemy", "redis", "kfp", "psycopg-binary", "starlette"} <= listed
    assert "pytest" not in listed


def test_what_the_page_shows_is_what_is_installed() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    shown = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert shown == [line for line in done.stdout.splitlines() if line.startswith("| ")]


def test_a_package_with_a_licence_that_is_taken_off_the_list_fails(
    licences: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runtime.in").write_text("redis\n")
    (tmp_path / "licences.txt").write_text("# only this one\nISC License\n")
    monkeypatch.setattr(licences, "HERE", tmp_path)
    assert licences.main() == 1
    assert "redis" in capsys.readouterr().err
