"""What the pages in docs/ show, for tests that run it."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_STACK = "<!-- stack -->\n"


def blocks(page: str, language: str, *, stack: bool = False) -> list[str]:
    """The blocks of a page in that language; those that need a stack, or those that do not."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(rf"(^{_STACK})?^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for marked, block in found if bool(marked) == stack]


def files(page: str) -> dict[str, str]:
    """The files that a page shows, by name: each a block under a paragraph that begins with the file's name."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return dict(re.findall(r"^`([\w.-]+\.\w+)`[^\n]*\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def section(page: str, heading: str) -> str:
    """The commands of one section of a page that need a stack."""
    text = (DOCS / page).read_text(encoding="utf-8")
    body = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    (commands,) = re.findall(rf"^{_STACK}```sh\n(.*?)^```", body, re.MULTILINE | re.DOTALL)
    return str(commands)


def programs(folder: Path) -> Path:
    """A folder for the PATH of somebody who reads a page: `nodewise` and `python` are those of the installation."""
    made = folder / "programs"
    made.mkdir()
    code = "from nodewise.sdk.cli.__main__ import main; main()"
    for name, words in {"nodewise": f'-W ignore -c "{code}"', "python": "-W ignore"}.items():
        (made / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (made / name).chmod(0o755)
    return made


def run_section(page: str, heading: str, folder: Path, env: Mapping[str, str], *, within: float = 300) -> str:
    """What the commands of that section print, in that folder; they end well."""
    commands = section(page, heading)
    done = subprocess.run(
        ["sh", "-euc", commands],
        cwd=folder,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=within,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout
