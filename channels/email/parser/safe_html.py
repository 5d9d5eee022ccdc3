# ruff: noqa: E501 - tables
"""A copy of an HTML mail that is safe to show (nh3)."""

import re
from functools import cache

import nh3

from channels.email.parser.html import HTML_BYTES

MAX_DEPTH = 1000
_OPEN = re.compile(r"<[A-Za-z]")
_CLOSE = re.compile(r"</[A-Za-z]|<(?:br|hr|img|meta|link|input|col|wbr|p|li|td|tr|area|base)\b", re.IGNORECASE)
_TAGS = {
    "a", "abbr", "b", "bdi", "bdo", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup", "dd",
    "del", "div", "dl", "dt", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "ol",
    "p", "pre", "q", "s", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead",
    "tr", "tt", "u", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"dir", "lang", "title", "align"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "valign"},
    "th": {"colspan", "rowspan", "valign"},
    "table": {"border", "cellpadding", "cellspacing", "width"},
    "font": {"color", "size"},
    "ol": {"start"},
}


def safe(html: str) -> str:
    """No scripts, forms, styles, ids or remote pictures; pictures by cid stay. "" when the document is too large or
    too deep to be sanitised in bounded time."""
    if len(html) > HTML_BYTES or len(_OPEN.findall(html)) - len(_CLOSE.findall(html)) > MAX_DEPTH:
        return ""
    return _cleaner().clean(html)


def _attribute(tag: str, name: str, value: str) -> str | None:
    if tag == "img" and name == "src" and not value.strip().lower().startswith("cid:"):
        return None
    return value


@cache
def _cleaner() -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "tel", "cid"},
        link_rel="noopener noreferrer nofollow",
        clean_content_tags={"script", "style", "title", "noscript", "iframe", "object", "svg", "math", "template"},
    )
