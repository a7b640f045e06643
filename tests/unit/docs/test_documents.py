"""What the documents show is run: code that a reader copies must work."""

import json
import re
from pathlib import Path
from random import Random

import pytest

from nodewise.core.ir import read_program
from nodewise.core.plugins import policies, presets, strategies
from nodewise.core.ports import PlacementContext, Strategy
from nodewise.core.settings import Settings
from nodewise.placer.options import load_options
from nodewise.sdk import compile as compile_pipeline
from nodewise.sdk import load_submission
from nodewise.sdk.dsl.errors import PipelineError
from tests.support.builders import a_cluster, a_node, a_task
from tests.support.programs import born

ROOT = Path(__file__).parents[3]


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_pipeline_of_the_guide_compiles_and_is_read(tmp_path: Path) -> None:
    file = tmp_path / "guide.py"
    file.write_text(blocks("docs/pipelines.md", "python")[0])
    compiled = compile_pipeline(load_submission(f"{file}:guide"))
    program = read_program(compiled.pipeline_spec, compiled.platform_spec)
    assert set(born(program)) == {"prepare", "fit"}
    assert (program.priority, program.team) == (5, "vision")


def test_the_task_of_the_guide_that_names_a_data_set_is_legal(tmp_path: Path) -> None:
    file = tmp_path / "rows.py"
    added = "\n\nfrom nodewise.sdk import pipeline\n\n@pipeline\ndef p():\n    rows()\n"
    file.write_text(blocks("docs/pipelines.md", "python")[1] + added)
    compiled = compile_pipeline(load_submission(f"{file}:p"))
    (task,) = born(read_program(compiled.pipeline_spec, compiled.platform_spec)).values()
    assert task.spec.dataset is not None
    assert task.spec.dataset.name == "wine"


def test_the_quickstart_of_the_readme_is_the_example() -> None:
    shown = next(block for block in blocks("README.md", "python") if "@pipeline" in block)
    example = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    assert shown.strip() in example


def test_the_strategy_of_the_readme_places_and_defers() -> None:
    names: dict[str, type[Strategy]] = {}
    exec(next(block for block in blocks("README.md", "python") if "class LastNode" in block), names)
    strategy = names["LastNode"]()
    cluster = a_cluster(a_node("n1"), a_node("n2"))
    tasks = [a_task(f"t{n}") for n in range(50)]
    decisions = strategy.place(tasks, cluster, PlacementContext(now=cluster.taken_at, rng=Random(1)))
    assert [decision.ref for decision in decisions] == [task.ref for task in tasks]
    assert {type(decision).__name__ for decision in decisions} == {"Placement", "Deferral"}


def test_the_rules_of_the_settings_page_are_legal(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    (rules,) = blocks("docs/settings.md", "json")
    file.write_text(rules)
    assert load_options(str(file), strategies()) == json.loads(rules)


def test_every_setting_that_is_named_exists() -> None:
    named = set(
        re.findall(r"`NODEWISE_([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"))
    )
    agents = ROOT / "services" / "agent" / "src"
    of_agents = {
        name
        for source in agents.rglob("*.py")
        for name in re.findall(r"NODEWISE_([A-Z_]+)", source.read_text(encoding="utf-8"))
    }
    of_others = {"HOME", "URL", "API_KEY", "API_KEY_FILE"} | of_agents
    assert {name.lower() for name in named - of_others} <= set(Settings.model_fields)


def test_the_readme_names_every_policy_strategy_and_preset() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in (*policies(), *strategies(), *presets()) if f"`{name}`" not in text]
    assert not missing


def test_links_between_documents_lead_somewhere() -> None:
    patterns = ("*.md", "docs/**/*.md", "services/*.md", "examples/*.md")
    broken = [
        f"{document.name}: {target}"
        for pattern in patterns
        for document in ROOT.glob(pattern)
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
        if not target.startswith("http") and not (document.parent / target).exists()
    ]
    assert not broken


def test_a_comparison_with_an_output_is_refused_as_the_guide_says(tmp_path: Path) -> None:
    file = tmp_path / "compares.py"
    file.write_text(
        "from nodewise.sdk import pipeline, task\n\n@task\ndef one() -> int:\n    return 1\n\n"
        "@pipeline\ndef p():\n    if one().output > 5:\n        one()\n"
    )
    with pytest.raises(PipelineError, match=r"compares.py:9"):
        compile_pipeline(load_submission(f"{file}:p"))
