"""An HTML tree → the text that a reader sees: blocks on lines of their own, lists, table rows, no hidden words."""

import re

from lxml.etree import _Element

_SPACE = re.compile(r"[ \t\r\n\f]+")
_BLANKS = re.compile(r"\n{4,}")
_HIDDEN = re.compile(r"(?i)display\s*:\s*none|mso-hide\s*:\s*all|visibility\s*:\s*hidden")
_SKIPPED = frozenset(
    ("script", "style", "head", "title", "noscript", "template", "object", "svg", "math", "select", "meta", "link")
)
_SPACED = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "blockquote", "pre", "table", "figure"))
"""Blocks with a blank line before and after."""
_BLOCKS = _SPACED | {
    *("div", "li", "tr", "section", "article", "header", "footer", "address", "center", "dt", "dd", "hr", "form"),
    *("fieldset", "main", "nav", "aside", "body", "html", "thead", "tbody", "tfoot", "caption", "figcaption", "option"),
}
MAX_DEPTH = 400
"""libxml2 stops at 256."""


class _Page:
    """Lines as they come."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._line: list[str] = []
        self._gap = False
        self._bullet = ""
        self._numbers: list[int] = []

    def words(self, text: str, *, kept: bool) -> None:
        if kept:
            first, *more = text.replace("\r\n", "\n").split("\n")
            self._line.append(first)
            for each in more:
                self._flush(each_space=True)
                self._line.append(each)
        elif self._line or not text.isspace():
            self._line.append(_SPACE.sub(" ", text))

    def line_break(self) -> None:
        """`br`: the line is over, an empty one too."""
        if not self._line and not self._bullet:
            self._put("")
        self.end()

    def end(self) -> None:
        """A block begins or ends: what stands there is a line."""
        if self._line:
            self._flush()

    def gap(self) -> None:
        """A blank line, before whatever comes next."""
        self.end()
        self._gap = not self._bullet

    def cell(self) -> None:
        if self._line:
            self._line.append("\t")

    def item(self) -> None:
        self.end()
        indent = "  " * max(0, len(self._numbers) - 1)
        if self._numbers and self._numbers[-1]:
            self._bullet = f"{indent}{self._numbers[-1]}. "
            self._numbers[-1] += 1
        else:
            self._bullet = f"{indent}* "

    def opened(self, tag: str) -> None:
        if tag in _SPACED and not (self._numbers and tag in ("ul", "ol")):
            self.gap()
        else:
            self.end()
        if tag in ("ul", "ol"):
            self._numbers.append(1 if tag == "ol" else 0)
        elif tag == "li":
            self.item()

    def closed(self, tag: str) -> None:
        if tag in ("ul", "ol") and self._numbers:
            self._numbers.pop()
        if tag == "li":
            self.end()
            self._bullet = ""
        elif tag in _SPACED and not (self._numbers and tag in ("ul", "ol")):
            self.gap()
        else:
            self.end()

    def _flush(self, *, each_space: bool = False) -> None:
        line = "".join(self._line)
        self._line = []
        if not each_space:
            line = line.replace("  ", " ").strip(" ")
            if not line:
                return
        self._put(f"{self._bullet}{line.rstrip()}")
        self._bullet = ""

    def _put(self, line: str) -> None:
        if self._gap and self.lines and self.lines[-1]:
            self.lines.append("")
        self._gap = False
        self.lines.append(line)


def text_of(tree: _Element) -> str:
    """Without the text behind `tree` itself."""
    page = _Page()
    _walk(tree, page, kept=False, depth=0)
    page.end()
    text = "\n".join(page.lines).replace("\xa0", " ").replace("\t", "  ")
    return _BLANKS.sub("\n\n\n", text).strip()


def _walk(element: _Element, page: _Page, *, kept: bool, depth: int) -> None:
    tag = element.tag
    if not isinstance(tag, str) or tag in _SKIPPED or depth > MAX_DEPTH:
        return
    style = element.get("style")
    if (style and _HIDDEN.search(style)) or element.get("hidden") is not None:
        return
    block = tag in _BLOCKS
    if block:
        page.opened(tag)
        kept = kept or tag == "pre"
    elif tag == "br":
        page.line_break()
    elif tag in ("td", "th"):
        page.cell()
    if element.text:
        page.words(element.text, kept=kept)
    for child in element:
        _walk(child, page, kept=kept, depth=depth + 1)
        if child.tail:
            page.words(child.tail, kept=kept)
    if block:
        page.closed(tag)
