"""The shape of the house, checked: portions, sizes of modules and functions, what may stand in a tracked file."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PORTIONS = [*sorted(path.parent for path in ROOT.glob("services/*/pyproject.toml")), ROOT / "sdk"]
SOURCES = sorted(file for portion in PORTIONS for file in portion.glob("src/**/*.py"))
MODULE_LINES = 400
FUNCTION_LINES = 40


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    first = body[1] if documented and len(body) > 1 else body[0]
    return (body[-1].end_lineno or 0) - first.lineno + 1


def test_every_portion_has_sources() -> None:
    assert len(PORTIONS) >= 9
    assert {portion.name for portion in PORTIONS} >= {
        "core",
        "api",
        "scheduler",
        "placer",
        "recorder",
        "agent",
        "sdk",
    }
    for portion in PORTIONS:
        assert list(portion.glob("src/nodewise/*/__init__.py")), f"{portion} has no package"


def test_no_portion_hides_the_others() -> None:
    strays = [portion for portion in PORTIONS if (portion / "src" / "nodewise" / "__init__.py").exists()]
    assert not strays, "a nodewise/__init__.py hides every other portion of the namespace"


def test_every_portion_is_typed() -> None:
    untyped = [portion for portion in PORTIONS if not list(portion.glob("src/nodewise/*/py.typed"))]
    assert not untyped


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_small(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    if "migrations/versions" in source.as_posix():
        return
    assert text.count("\n") <= MODULE_LINES, f"{source} is over {MODULE_LINES} lines: is it one idea?"
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            assert body_lines(function) <= FUNCTION_LINES, (
                f"{source}:{function.lineno} {function.name} is too long"
            )


def test_sql_stands_only_in_the_database_package() -> None:
    speaks_sql = re.compile(r"^\s*(from|import) sqlalchemy(?!\.exc)", re.MULTILINE)
    forbidden = {"text", "select", "insert", "update", "delete", "func", "literal_column"}
    offenders = []
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        if "/core/db/" in source.as_posix() or not speaks_sql.search(text):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module == "sqlalchemy":
                offenders += [f"{source}: {name.name}" for name in node.names if name.name in forbidden]
    assert not offenders


def test_no_commit_outside_a_transaction() -> None:
    offenders = [
        f"{source}:{node.lineno}"
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit"
    ]
    assert not offenders


def test_states_change_through_one_module() -> None:
    """But for an upgrade: releases before 0004 kept no inputs of ready tasks, so these wait once more."""
    assigned = r"\bSET\b(?:(?!\bWHERE\b)[^;\"])*\bstate\s*="
    moves = re.compile(r"UPDATE\s+(tasks|runs)\b[^;\"]*" + assigned, re.IGNORECASE | re.DOTALL)
    found = {source.name for source in SOURCES if moves.search(source.read_text(encoding="utf-8"))}
    assert found == {"moves.py", "0004_whole_ir.py"}


def test_nothing_evaluates_or_unpickles() -> None:
    """Rule 8: no eval, exec or pickle in the control plane; user code runs in the agent's runner only."""
    forbidden_calls = {"eval", "exec", "compile"}
    offenders = []
    for source in SOURCES:
        if "/agent/" in source.as_posix() or "/sdk/" in source.as_posix():
            continue
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in forbidden_calls
            ):
                offenders.append(f"{source}:{node.lineno} {node.func.id}")
            if isinstance(node, ast.Import) and any(a.name in {"pickle", "joblib"} for a in node.names):
                offenders.append(f"{source}:{node.lineno} pickle")
    assert not offenders


def test_tracked_files_name_no_host_of_a_registry_and_no_machine() -> None:
    words = [
        "pypi" + ".org",
        "files.pythonhosted" + ".org",
        "registry.npmjs" + ".org",
        "deb.debian" + ".org",
        "/ro" + "ot/",
    ]
    offenders = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        offenders += [f"{path.relative_to(ROOT)}: {word}" for word in words if word in text]
    assert not offenders


def test_dependencies_are_locked_with_hashes() -> None:
    lock = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-zA-Z0-9_.-]+(?:\[[^\]]+\])?)==", lock, re.MULTILINE)
    hashed = re.split(r"^\S+==", lock, flags=re.MULTILINE)[1:]
    assert len(pinned) > 50
    assert all("--hash=sha256:" in block for block in hashed)
    wanted = re.findall(r"^([a-z0-9-]+)", (ROOT / "requirements" / "runtime.in").read_text(), re.MULTILINE)
    assert {name.lower() for name in wanted} <= {name.lower().split("[")[0] for name in pinned}
