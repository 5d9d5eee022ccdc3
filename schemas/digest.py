"""The content digest: equal for copies of one contact, whatever way they came."""

from schemas.ids import content_digest
from schemas.interaction import ChatContent, Contact, EmailContent, PhoneLogContent, WebFormContent


def contact_digest(contact: Contact) -> str:
    """SHA-256 over what the customer sent. Left out: header fields (each hop adds some), the account and the time
    of arrival, trace context."""
    content = contact.content
    parts: list[tuple[str, str]] = [
        ("channel", contact.channel),
        ("sender", contact.sender.address),
        ("subject", contact.subject),
        ("text", contact.text),
    ]
    match content:
        case EmailContent():
            parts.append(("message_id", content.message_id))
        case ChatContent():
            parts.append(("session", content.session_id))
        case WebFormContent():
            parts += [(f"field:{name}", value) for name, value in content.fields.items()]
        case PhoneLogContent():
            parts += [
                ("caller", content.caller),
                ("callee", content.callee),
                ("disposition", content.disposition),
                ("notes", content.notes),
            ]
    parts += [(f"attachment:{i}", f"{a.name}:{a.size}:{a.sha256}") for i, a in enumerate(contact.attachments)]
    return content_digest(parts)
