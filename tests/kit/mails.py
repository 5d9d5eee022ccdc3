"""Mails to put into mailboxes."""


def mail(
    key: str,
    *,
    sender: str = "ann@example.org",
    subject: str = "Hello",
    text: str = "words",
    to: str = "help@shop.example",
    trace: str = "",
) -> bytes:
    """As a server keeps it, with CRLF. `trace`: header fields that another way would have added."""
    head = f"{trace}From: Ann <{sender}>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{key}@example.org>\r\n"
    return f"{head}\r\n{text}\r\n".encode()
