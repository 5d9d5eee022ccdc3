"""The form's pages as HTML. Every value from outside is escaped; nothing needs a script."""

from collections.abc import Mapping
from html import escape
from typing import Any

from channels.web_form.settings import FieldSettings, FormDefinition

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/forms-static/form.css">
</head>
<body><main>
<h1>{title}</h1>
{body}
</main></body>
</html>
"""
_INPUT_TYPE = {"email": "email"}


def form(
    account: str, definition: FormDefinition, values: Mapping[str, str], mistakes: Mapping[str, str], key: str
) -> str:
    """The form, filled in as far as it was, with what is wrong beside each field."""
    parts = []
    if mistakes:
        general = escape(mistakes.get("", "Please look at the marked fields."))
        parts.append(f'<p class="error" role="alert">{general}</p>')
    parts.append(f'<form method="post" action="/forms/{escape(account, quote=True)}">')
    parts.append(f'<input type="hidden" name="_key" value="{escape(key, quote=True)}">')
    for name, field in definition.fields.items():
        parts.append(_field(name, field, values.get(name, ""), mistakes.get(name, "")))
    if definition.honeypot:
        trap = escape(definition.honeypot, quote=True)
        parts.append(
            f'<div class="trap" aria-hidden="true"><label for="f-{trap}">Leave this empty</label>'
            f'<input id="f-{trap}" name="{trap}" tabindex="-1" autocomplete="off"></div>'
        )
    parts.append('<button type="submit">Send</button></form>')
    return _FRAME.format(title=escape(definition.title), body="\n".join(parts))


def _field(name: str, field: FieldSettings, value: str, mistake: str) -> str:
    key, shown = escape(name, quote=True), escape(value, quote=True)
    label = escape(field.label or name)
    marks = " required" if field.required else ""
    if mistake:
        marks += f' aria-invalid="true" aria-describedby="e-{key}"'
    common = f'id="f-{key}" name="{key}" maxlength="{field.max}"{marks}'
    if field.type == "textarea":
        control = f'<textarea rows="6" {common}>{shown}</textarea>'
    elif field.type == "choice":
        options = "".join(f"<option>{escape(choice)}</option>" for choice in field.choices)
        control = f'<select id="f-{key}" name="{key}"{marks}><option value=""></option>{options}</select>'
    else:
        control = f'<input type="{_INPUT_TYPE.get(field.type, "text")}" value="{shown}" {common}>'
    star = ' <span aria-hidden="true">*</span>' if field.required else ""
    error = f'<p class="error" id="e-{key}">{escape(mistake)}</p>' if mistake else ""
    return f'<p><label for="f-{key}">{label}{star}</label>{control}</p>{error}'


def receipt(reference: str, url: str) -> str:
    body = (
        f'<p role="status">Thank you. Your reference is <strong>{escape(reference)}</strong>.</p>'
        f'<p>The answer will be on <a href="{escape(url, quote=True)}">your status page</a>. Keep this link.</p>'
    )
    return _FRAME.format(title="We have your message", body=body)


def status(shown: Mapping[str, Any]) -> str:
    """The status page of `reference`, with messages and answers."""
    parts = [f'<p role="status">{escape(shown["text"])}</p>', "<h2>Your message</h2>"]
    parts += [f'<blockquote dir="auto">{escape(m["text"])}</blockquote>' for m in shown["messages"]]
    parts.append("<h2>Answers</h2>")
    for answer in shown["answers"]:
        who = escape(answer["author"] or "Automatic answer")
        parts.append(f'<article><h3>{who}</h3><p dir="auto" class="answer">{escape(answer["text"])}</p></article>')
    if not shown["answers"]:
        parts.append("<p>None yet. Reload this page later.</p>")
    return _FRAME.format(title=escape(shown["reference"]), body="\n".join(parts))
