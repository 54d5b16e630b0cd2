"""Checks the prose of the README, CONTRIBUTING, SECURITY and all pages of docs/.

A sentence must have at most 25 words, and none from the style sheet's list. The list is
the table after `<!-- words -->` in CONTRIBUTING.md. Code blocks and HTML are ignored. A
code span counts as one word, and a link as the words that it shows.

Command:   python scripts/check_prose.py [FILE ...]
"""

import pathlib
import re
import sys
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = pathlib.Path(__file__).parents[1]
STYLE_SHEET, MARK = ROOT / "CONTRIBUTING.md", "<!-- words -->"
MOST_WORDS = 25
_CODE = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for a code span
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9`" + _CODE + "])")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|et al|cf|vs|Fig|Sec)\.")


def paragraphs(markdown: str) -> Iterator[tuple[int, str, bool]]:
    """Yields (line, text, is_cell) for each paragraph, heading, list item and table cell.

    Lines count from 1, and text is plain.
    """
    line, in_table = 1, False
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        if token.map is not None:
            line = token.map[0] + 1
        if token.type in ("table_open", "table_close"):
            in_table = token.type == "table_open"
        if token.type == "inline":
            yield line, "".join(map(_plain, token.children or ())), in_table


def _plain(token: Token) -> str:
    """The text that a reader sees of an inline token."""
    if token.type == "image":
        return "".join(map(_plain, token.children or ()))
    return {
        "text": token.content,
        "softbreak": " ",
        "hardbreak": " ",
        "code_inline": _CODE,
    }.get(token.type, "")


def sentences(text: str) -> list[str]:
    """Returns the sentences of a paragraph's plain text."""
    return _END.split(_ABBREVIATION.sub(r"\1", text))


def count_words(sentence: str) -> int:
    """Returns the number of words; a word has a letter or a digit, or is a code span."""
    return sum(any(c.isalnum() or c == _CODE for c in w) for w in sentence.split())


def forbidden_words(style_sheet: str) -> list[str]:
    """Returns the first column of the style sheet's table.

    Raises:
      ValueError: if there is no such table.
    """
    _, found, after = style_sheet.partition(f"{MARK}\n")
    table = after.strip().split("\n\n")[0]
    words = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    if not found or not words:
        raise ValueError(f"{MARK}: must come before a table of words")
    return words


def faults(markdown: str, words: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yields (line, fault) for each fault, where line is that of its paragraph."""
    listed = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
    for line, text, is_cell in paragraphs(markdown):
        for match in listed.finditer(text):
            yield line, f"'{match[0]}' is on the style sheet's list"
        for sentence in () if is_cell else sentences(text):
            if (count := count_words(sentence)) > MOST_WORDS:
                start = " ".join(sentence.replace(_CODE, "`…`").split()[:8])
                yield line, f"{count} words, at most {MOST_WORDS}: {start} …"


def main(arguments: Sequence[str]) -> int:
    """Prints each fault; returns the exit code."""
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    pages += sorted((ROOT / "docs").rglob("*.md"))
    words = forbidden_words(STYLE_SHEET.read_text())
    found = 0
    for path in map(pathlib.Path, arguments) if arguments else pages:
        for line, fault in faults(path.read_text(), words):
            print(f"{path}:{line}: {fault}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
