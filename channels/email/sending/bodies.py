"""The text and the HTML of a mail: answer, signature, quotation. The HTML by Jinja2 in its sandbox; values are never
templates."""

import textwrap
from collections.abc import Sequence

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

QUOTE_CHARS = 20_000
_SIGNATURE = "\n-- \n"
"""RFC 3676 §4.3: mail programs leave out of their answers what stands below it."""

_HTML = """<!DOCTYPE html>
<html{% if language %} lang="{{ language }}"{% endif %}><head><meta charset="utf-8"></head><body>
{%- if html is not none %}{{ html }}{% else %}
{%- for each in paragraphs %}
<p>{{ each }}</p>
{%- endfor %}{% endif %}
{%- for cid, name in images %}
<p><img src="cid:{{ cid }}" alt="{{ name }}"></p>
{%- endfor %}
{%- if signature %}
<p>--&nbsp;<br>{{ signature }}</p>
{%- endif %}
{%- if quoted %}
<blockquote type="cite">{{ quoted }}</blockquote>
{%- endif %}
</body></html>
"""
_BREAK = Markup("<br>\n")

_html = ImmutableSandboxedEnvironment(autoescape=True, undefined=StrictUndefined).from_string(_HTML)


def text(answer: str, signature: str = "", quoted: str = "") -> str:
    """The plain part."""
    below = f"{_SIGNATURE}{signature}" if signature else ""
    history = "\n\n" + textwrap.indent(_short(quoted), "> ", lambda _: True) if quoted else ""
    return f"{answer.rstrip()}{below}{history}\n"


def html(
    answer: str,
    given: str | None = None,
    signature: str = "",
    quoted: str = "",
    language: str = "",
    images: Sequence[tuple[str, str]] = (),
) -> str:
    """The HTML part. `given` is markup of the policy's templates; everything else is escaped. `images` (content id,
    name) that `given` does not show stand below the answer."""
    return _html.render(
        html=None if given is None else Markup(given),  # noqa: S704 - made by our templates, which escape
        paragraphs=[_lines(each) for each in answer.split("\n\n") if each.strip()],
        signature=_lines(signature),
        quoted=_lines(_short(quoted)),
        images=[each for each in images if f"cid:{each[0]}" not in (given or "")],
        language=language,
    )


def _lines(words: str) -> Markup:
    return _BREAK.join(words.splitlines())


def _short(quoted: str) -> str:
    return quoted if len(quoted) <= QUOTE_CHARS else f"{quoted[:QUOTE_CHARS]} […]"
