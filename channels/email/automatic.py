"""Is this mail automatic? Automatic mail is never answered by machine (RFC 3834 §2, RFC 5230 §4.6)."""

from collections.abc import Iterable, Sequence

_LIST_FIELDS = ("list-id", "list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner", "list-archive")
_MACHINES = ("mailer-daemon", "postmaster", "noreply", "no-reply", "do-not-reply", "donotreply", "bounce", "bounces")


def automatic_reason(
    headers: Sequence[tuple[str, str]],
    *,
    envelope_from: str | None,
    sender: str,
    content_type: str,
    own_addresses: Iterable[str] = (),
) -> str | None:
    """Why the mail counts as automatic, in words; None when a person seems to have written it."""
    fields: dict[str, str] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), value.strip().lower())
    # Comments and parameters may follow the keyword (RFC 3834 §5).
    submitted = fields.get("auto-submitted", "no").split(";")[0].split("(")[0].strip()
    if submitted != "no":
        return f"Auto-Submitted: {submitted}"
    if envelope_from == "":
        return "null return path"
    if content_type in ("multipart/report", "message/delivery-status"):
        return f"a report ({content_type})"
    if fields.get("precedence", "") in ("bulk", "list", "junk", "auto_reply"):
        return f"Precedence: {fields['precedence']}"
    if found := next((name for name in _LIST_FIELDS if name in fields), None):
        return f"a mailing list ({found})"
    suppress = fields.get("x-auto-response-suppress", "")
    if suppress and suppress != "none":
        return f"X-Auto-Response-Suppress: {suppress}"
    if "x-loop" in fields or "x-autoreply" in fields or "x-autorespond" in fields:
        return "marked as an automatic response"
    local = sender.lower().partition("@")[0]
    if local.partition("+")[0] in _MACHINES or local.startswith("owner-") or local.endswith("-request"):
        return f"sent by {local}@"
    if sender.lower() in {address.lower() for address in own_addresses}:
        return "from one of our own addresses"
    return None
