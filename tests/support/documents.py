"""What the pages in docs/ show, for tests that run it."""

import re
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
