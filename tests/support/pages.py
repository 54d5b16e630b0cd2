"""The README and the pages of docs/, and the blocks that tests run."""

import re

from support.paths import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}


def block(page: str, mark: str) -> str:
    """The fenced block after an HTML comment."""
    return PAGES[page].split(f"<!-- {mark} -->\n")[1].split("```")[1].split("\n", 1)[1]


def files(page: str) -> dict[str, str]:
    """The fenced blocks after comments that are the name of a Python file, by name."""
    names = re.findall(r"<!-- (\w+\.py) -->", PAGES[page])
    return {name: block(page, name) for name in names}
