"""What the tests of pages ask of a browser."""

import contextlib
import pathlib
import shutil
from typing import NamedTuple

from playwright.sync_api import BrowserContext, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def chromium():
    """A headless browser; None where none is installed."""
    paths = [path for path in map(shutil.which, NAMES) if path]
    if not paths:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=paths[0], args=["--no-sandbox"]
        )
        yield browser
        browser.close()


class Visit(NamedTuple):
    """A page, its complaints so far, and what it has asked for besides itself."""

    page: Page
    complaints: list[str]
    requests: list[str]


def visit(context: BrowserContext, path: pathlib.Path) -> Visit:
    """Opens a file."""
    found = Visit(context.new_page(), [], [])
    url = path.resolve().as_uri()

    def on_request(request):
        if request.url != url and not request.url.startswith("data:"):
            found.requests.append(request.url)

    def on_console(message):
        if message.type in ("error", "warning"):
            found.complaints.append(message.text)

    def on_dialog(dialog):
        found.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    found.page.on("request", on_request)
    found.page.on("console", on_console)
    found.page.on("dialog", on_dialog)
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.goto(url)
    return found


def texts(page: Page, selector: str) -> list[str]:
    """What a reader sees of each element, hidden or not."""
    return [" ".join(text.split()) for text in page.locator(selector).all_text_contents()]


def rows(page: Page, table: str) -> list[list[str]]:
    """The cells of a table, row by row, its head first."""
    found = page.evaluate(
        "table => [...document.querySelectorAll(`${table} tr`)]"
        ".map(row => [...row.cells].map(cell =>"
        " cell.textContent.replaceAll('\\u00a0', ' ').trim()))",
        table,
    )
    return found


# Of every text that is shown: what it says, its colour, and that of its background.
_COLOURS = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    const isCode = element.closest("script, style");
    if (!text || isCode || !element.checkVisibility()) continue;
    const {color, fill} = getComputedStyle(element);
    let behind = element, background;
    do {
      background = getComputedStyle(behind).backgroundColor;
      behind = behind.parentElement;
    } while (behind && background === "rgba(0, 0, 0, 0)");
    found.push([text, element.closest("svg") ? fill : color, background]);
  }
  return found;
}"""


def contrasts(page: Page) -> list[tuple[float, str]]:
    """Of texts that are shown, the contrast as WCAG 2 defines it, the least first."""
    return sorted(
        (contrast(colour, background), text)
        for text, colour, background in page.evaluate(_COLOURS)
    )


def contrast(*colours: str) -> float:
    dark, light = sorted(map(_luminance, colours))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(c) / 255 for c in colour.removeprefix("rgb(")[:-1].split(",")]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
