"""The plain chat page. All behaviour is in static/chat.js, so that the page needs no inline script."""

from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/chat-static/chat.css">
<script type="module" src="/chat-static/chat.js"></script>
</head>
<body data-account="{account}">
<main class="chat" aria-labelledby="title">
<header><h1 id="title">{title}</h1><p id="status" role="status">connecting …</p></header>
<ol id="log" class="log" role="log" aria-live="polite" aria-label="Conversation" tabindex="0"></ol>
<form id="form" class="compose">
<label for="text">Your message</label>
<textarea id="text" rows="2" maxlength="8000" required></textarea>
<button type="submit">Send</button>
</form>
<noscript>This chat needs JavaScript. You can also use the contact form.</noscript>
</main>
</body>
</html>
"""


def render(account: str, title: str) -> str:
    return _PAGE.format(account=escape(account, quote=True), title=escape(title))
