"""HTML parts: readable text, the quoted history cut on the document's own structure, a copy that is safe to show.

What is too large or too deep for the parsers loses its tags only: they are C and cannot be interrupted.
"""

import re
from dataclasses import dataclass

import lxml.html
from lxml.etree import _Comment, _Element

from channels.email.parser.phrases import is_attribution
from channels.email.parser.render import text_of

_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
HTML_BYTES = 512 * 1024
HTML_TAGS = 20_000
_TAG = re.compile(r"<[^<>]{0,2000}>")
_BLOCKS = re.compile(r"(?i)<(?:script|style|head|title)\b[^<>]{0,2000}>[^<]{0,100000}")
_HINTS = re.compile(
    r"(?i)<blockquote|gmail_(?:quote|extra|attr|signature)|divRplyFwdMsg|appendonsend|yahoo_quoted|moz-(?:cite|signature)|"
    r"OutlookMessageHeader|OLK_SRC_BODY|border-top:\s*(?:solid|#|1)|protonmail_(?:quote|signature)|stopSpelling|zwchr|"
    r"__DIVIDER__|zmail_extra|tutanota_quote|isReplyContent|includetail|name=[\"']?quote|reference-message|"
    r"(?:freshdesk|front|mailru|hey)[_-](?:quote|blockquote)|id=[\"']?(?:x_)?Signature|AppleMailSignature|mobile-signature"
)
_WHOLE = re.compile(
    r"(?i)\b(?:(?:ydp\w{0,40})?yahoo_quoted\w*|protonmail_quote|zmail_extra|tutanota_quote|isReplyContent|freshdesk_quote|"
    r"front-blockquote|mailru-blockquote|moz-cite-prefix|gmail_attr|WM_QUOTE|mail-app-auto-quote|OLK_SRC_BODY_SECTION|"
    r"(?:x_)?(?:ms-outlook-mobile-|mail-editor-)reference-message(?:-container)?|_origin|includetail|replyHeader)\b"
)
_ONWARDS = re.compile(
    r"(?i)\b(?:(?:x_)*divRplyFwdMsg|(?:x_)*appendonsend|stopSpelling|zwchr|__DIVIDER__|OutlookMessageHeader)\b"
)
_OUTLOOK = re.compile(
    r"(?i)border-top:\s*(?:solid\s+(?:#(?:E1E1E1|B5C4DF)|rgb\()|#(?:E1E1E1|B5C4DF)\b[^;]*solid|1(?:\.0)?pt\s+solid)"
)
_SIGNATURE = re.compile(
    r"(?i)\b(?:gmail_signature\w*|moz-signature|protonmail_signature_block|(?:x_)*Signature|AppleMailSignature\w*|"
    r"(?:x_)*ms-outlook-mobile-signature|lwo-signature)\b"
)


@dataclass(frozen=True, slots=True)
class Cut:
    """The text of an HTML document in three."""

    new: str
    quoted: str
    signature: str


def to_text(html: str) -> str:
    """Readable text of an HTML document."""
    tree = _tree(html)
    return _stripped(html) if tree is None else text_of(tree)


def hinted(html: str) -> bool:
    """Whether the document may have quoted history or a signature that its own structure shows."""
    return _HINTS.search(html) is not None


def cut(html: str, *, whole: bool = True) -> Cut | None:
    """None when the structure shows neither history nor signature. Interleaved answers are new text.

    `whole=False` leaves the history's own text out, which is most of the cost.
    """
    tree = _tree(html) if hinted(html) else None
    try:
        return None if tree is None else _cut(tree, whole=whole)
    except (ValueError, TypeError, RecursionError):  # what lxml refuses; the lines of the text still tell
        return None


def _cut(tree: _Element, *, whole: bool) -> Cut | None:
    quoted: list[_Element] = []
    signatures: list[_Element] = []
    for element in list(tree.iter("*")):
        if element.tag is _Comment:
            continue
        label = " ".join(element.get(name) or "" for name in ("class", "id", "name", "data-marker"))
        if label.strip() and _ONWARDS.search(label):
            quoted += _onwards(element)
            break
        if element.tag == "div" and _outlook_header(element):
            quoted += _onwards(element)
            break
        if element.tag == "blockquote":
            if _is_citation(element):
                quoted += [*_attribution_before(element), element]
        elif label.strip():
            gmx = element.tag == "div" and (element.get("name") or "").lower() == "quote"
            bare = "gmail_quote" in label and element.find(".//blockquote") is None
            if _WHOLE.search(label) or gmx or bare:
                quoted.append(element)
            elif _SIGNATURE.search(label):
                signatures.append(element)
    if not quoted and not signatures:
        return None
    history = _take(quoted, render=whole)
    signature = _take(signatures, render=True)
    return Cut(text_of(tree), history, signature)


def _tree(html: str) -> _Element | None:
    if len(html) > HTML_BYTES or html.count("<") > HTML_TAGS or not html.strip():
        return None
    try:
        # Given bytes, so that an XML declaration inside cannot name another encoding.
        return lxml.html.document_fromstring(
            html.encode("utf-8", "replace"),
            parser=lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True),
        )
    except Exception:  # the parser refuses some documents in many ways; their text still has to get through
        return None


def _stripped(html: str) -> str:
    return _TAG.sub(" ", _BLOCKS.sub(" ", html[:HTML_BYTES])).strip()


def _is_citation(element: _Element) -> bool:
    kind, label = (element.get("type") or "").lower(), f"{element.get('class') or ''} {element.get('id') or ''}".lower()
    if kind == "cite" or element.get("cite") is not None or "quote" in label or "cite" in label:
        return True
    return "border-left" in (element.get("style") or "") or bool(_attribution_before(element))


def _outlook_header(element: _Element) -> bool:
    """Outlook draws a line above the header block of what it quotes."""
    style = element.get("style") or ""
    return bool(_OUTLOOK.search(style)) and ":" in "".join(element.itertext())[:400]


def _attribution_before(element: _Element) -> list[_Element]:
    """`On … wrote:` right before a quotation. Text that stands free is put into an element of its own."""
    before = element.getprevious()
    while before is not None and before.tag == "br" and not (before.tail or "").strip():
        before = before.getprevious()
    parent = element.getparent()
    if parent is None:
        return []
    if before is None:
        words = parent.text or ""
        if is_attribution(words):
            span = _span(words)
            parent.text = ""
            parent.insert(0, span)
            return [span]
        above = parent.getprevious()
        return [above] if above is not None and is_attribution(_words(above)) and not (above.tail or "").strip() else []
    tail = (before.tail or "").strip()
    if tail:
        run: list[_Element] = []
        words = tail
        if not is_attribution(words) and before.tag in ("a", "span", "b", "font", "i", "strong"):
            words, run = _inline_run(before)
        if not is_attribution(words):
            return []
        span = _span(tail)
        before.tail = None
        parent.insert(parent.index(before) + 1, span)
        return [*run, span]
    return [before] if is_attribution(_words(before)) else []


def _inline_run(last: _Element) -> tuple[str, list[_Element]]:
    """The line that ends with `last` and its tail: `On 3 May <a>ann@x.org</a> wrote:`."""
    run = [last]
    text = f"{_words(last)} {last.tail or ''}"
    before = last.getprevious()
    while before is not None and before.tag in ("a", "span", "b", "font", "i", "strong") and len(run) < 6:
        text = f"{_words(before)} {before.tail or ''} {text}"
        run.insert(0, before)
        before = before.getprevious()
    lead = before.tail if before is not None else (last.getparent().text if last.getparent() is not None else "")
    text = f"{lead or ''} {text}"
    if is_attribution(text):
        if before is not None:
            before.tail = None
        elif last.getparent() is not None:
            last.getparent().text = None
    return text, run


def _words(element: _Element) -> str:
    text = "".join(element.itertext())
    return text if len(text) < 600 else ""


def _onwards(element: _Element) -> list[_Element]:
    """The element and all that follows it in the document."""
    found: list[_Element] = [element, *_freed(element)]
    seen = set(found)
    current = element
    while current is not None and current.tag not in ("body", "html"):
        following = list(current.itersiblings())
        if current is not element:
            more = _freed(current)
            found += more
            seen.update(more)
        for sibling in following:
            if sibling not in seen:
                more = [sibling, *_freed(sibling)]
                found += more
                seen.update(more)
        current = current.getparent()
    return found


def _span(text: str) -> _Element:
    """An element with this text; what XML cannot hold (`&#1;`) is left out."""
    span = lxml.html.Element("span")
    span.text = _NO_XML.sub("", text)
    return span


def _freed(element: _Element) -> list[_Element]:
    """The text behind an element, put into an element of its own."""
    if not (element.tail or "").strip():
        return []
    span = _span(element.tail)
    element.tail = None
    element.addnext(span)
    return [span]


def _take(elements: list[_Element], *, render: bool) -> str:
    """Take the elements out of their document; their text."""
    holder = lxml.html.Element("div")
    taken: set[_Element] = set()
    for element in elements:
        parent = element.getparent()
        if parent is None or element in taken or any(above in taken for above in element.iterancestors()):
            continue
        taken.add(element)
    for element in elements:
        if element not in taken:
            continue
        taken.discard(element)
        element.drop_tree() if not element.tail else _lift(element)
        holder.append(element)
    return text_of(holder) if render and len(holder) else ""


def _lift(element: _Element) -> None:
    """Out of its parent; the text behind it stays, on a line of its own."""
    parent = element.getparent()
    line = lxml.html.Element("br")
    line.tail, element.tail = _NO_XML.sub("", element.tail or ""), None
    parent.replace(element, line)
