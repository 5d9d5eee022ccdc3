"""Whose mail it is. What a mail claims is shown; whom we hold to have written it is decided here. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from channels.email.parser.fields import BRACKETS, address_of, header, mailboxes
from channels.email.parser.mime import Part
from schemas.text import clean_line

Mailbox = tuple[str, str]
"""(name, address)"""
_DELIVERED = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Delivered-To", "X-Rcpt-To")


@dataclass(slots=True)
class People:
    authors: list[Mailbox] = field(default_factory=list)
    sender: Mailbox | None = None
    """Whom we hold to have written: the author, or the customer behind our own list or form."""
    reply_to: list[Mailbox] = field(default_factory=list)
    to: list[Mailbox] = field(default_factory=list)
    cc: list[Mailbox] = field(default_factory=list)
    delivered_to: list[str] = field(default_factory=list)
    envelope_from: str | None = None
    via: str | None = None
    """`own_list` or `trusted_form` when the sender is not the author."""
    cut: bool = False
    """Over the limit of addresses: some are left out."""

    @property
    def author(self) -> Mailbox | None:
        return self.authors[0] if self.authors else None


def people(
    root: Part,
    *,
    hint: str | None = None,
    envelope_from: str | None = None,
    own_lists: Iterable[str] = (),
    trusted_forms: Iterable[str] = (),
) -> People:
    """Everybody whom the header names. `envelope_from` of the door wins over a Return-Path field."""
    found = People(envelope_from=envelope_from)

    def of(name: str) -> list[Mailbox]:
        values = root.all(name)
        boxes, cut = mailboxes(values, hint) if values else ([], False)
        found.cut = found.cut or cut
        return [box for box in boxes if box[1] or box[0]]

    found.authors = of("From")
    found.reply_to = [box for box in of("Reply-To") if box[1]]
    found.to = [box for box in of("To") if box[1]]
    found.cc = [box for box in of("Cc") if box[1]]
    delivered = (address_of(value.split(",")[0]) for name in _DELIVERED for value in root.all(name)[:20])
    found.delivered_to = list(dict.fromkeys(each for each in delivered if each))
    if envelope_from is None and (path := root.all("Return-Path")):
        said = path[0].strip()
        bare = clean_line(header(said)).strip(BRACKETS)
        found.envelope_from = address_of(said) if bare else ""
        if bare and not found.envelope_from:
            found.envelope_from = None
    found.sender = _sender(root, found)
    lists, forms = {each.lower() for each in own_lists}, {each.lower() for each in trusted_forms}
    _behind(root, found, lists, forms)
    return found


def _sender(root: Part, found: People) -> Mailbox | None:
    for box in found.authors:
        if box[1]:
            return box
    for name in ("Sender", "Resent-From"):
        if (other := address_and_name(root, name)) is not None:
            return other
    if found.reply_to:
        return found.reply_to[0]
    return ("", found.envelope_from) if found.envelope_from else None


def _behind(root: Part, found: People, lists: set[str], forms: set[str]) -> None:
    """The customer behind our own list or form, where the account says that it is one."""
    author = found.sender[1] if found.sender else ""
    customer: Mailbox | None
    if author in lists or (lists and author not in forms and _posted(root) & lists):
        original = address_and_name(root, "X-Original-From") or address_and_name(root, "X-Original-Sender")
        found.via = "own_list"
        if author in lists:  # else the list did not rewrite the author
            customer = original if original and original[1] not in lists else None
            customer = customer or next((box for box in found.reply_to if box[1] not in lists), None)
            found.sender = customer or found.sender
    elif author in forms:
        customer = next((box for box in found.reply_to if box[1] != author), None)
        if customer:
            found.sender, found.via = customer, "trusted_form"


def address_and_name(root: Part, name: str) -> Mailbox | None:
    boxes, _ = mailboxes(root.all(name)) if root.first(name) else ([], False)
    return next((box for box in boxes if box[1]), None)


def _posted(root: Part) -> set[str]:
    """The addresses of the lists that the mail came through."""
    post = {address_of(value.strip(" <>")) for value in root.all("List-Post")[:3]}
    return {each for each in post if each} | {box[1] for box in mailboxes(root.all("X-BeenThere")[:3])[0] if box[1]}
