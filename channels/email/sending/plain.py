"""What a mail server's refusal means, for people who do not read SMTP. Pure.

By the enhanced status code (RFC 3463, RFC 7505 and the IANA registry) where there is one, else by the words.
"""

import re

_STATUS = re.compile(r"(?<![\d.])5\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_BY_STATUS = {
    "1.0": "the address was refused",
    "1.1": "there is no such mailbox: ask the customer for another address",
    "1.2": "there is no such mail domain: is the address spelled right?",
    "1.3": "the address is not written as addresses are",
    "1.6": "the mailbox has moved and left no address",
    "1.10": "the domain takes no mail at all: is the address spelled right?",
    "2.1": "the mailbox is switched off",
    "2.2": "the mailbox is full: try again in a few days, or another address",
    "2.3": "the mail is too big for this mailbox",
    "3.4": "the mail is too big for that server",
    "4.4": "no way to that server is known: is the address spelled right?",
    "4.6": "the mail went round in a circle",
    "6.7": "the address needs SMTPUTF8, which that server does not have",
    "7.1": "the server does not take our mail for this recipient",
    "7.20": "our mail was refused, because it has no good DKIM signature",
    "7.23": "our mail was refused, because SPF does not name the relay",
    "7.25": "our mail was refused, because the relay's address has no name in the DNS",
    "7.26": "our mail was refused, because neither SPF nor DKIM vouches for us",
}
_BY_SUBJECT = {
    "1": "something is wrong with the address",
    "2": "the mailbox does not take mail",
    "3": "that server cannot take this mail",
    "4": "that server cannot be reached",
    "5": "the two servers did not understand each other: tell whoever looks after the relay",
    "6": "that server does not take the mail's form",
    "7": "that server refuses our mail by its policy: look at SPF, DKIM, DMARC and block lists",
}
_BY_WORDS = (
    (re.compile(r"(?i)quota|mailbox full|over ?quota|storage"), "2.2"),
    (re.compile(r"(?i)too (?:big|large)|size|exceed"), "3.4"),
    (re.compile(r"(?i)unknown|no such|not (?:found|exist)|does not exist|invalid (?:recipient|mailbox)"), "1.1"),
    (re.compile(r"(?i)spam|block|policy|reputation|denied|relay"), "7.0"),
)


def in_words(said: str) -> str:
    """Our words, then the server's in brackets; the server's alone when they say nothing that we know."""
    found = _STATUS.search(said)
    code = f"{found[1]}.{found[2]}" if found else next((code for words, code in _BY_WORDS if words.search(said)), "")
    meaning = _BY_STATUS.get(code) or _BY_SUBJECT.get(code.partition(".")[0])
    return f"{meaning} ({said})" if meaning else said
