# ruff: noqa: E501 - tables of phrases read better unbroken
"""What a mail server's refusal means, for people who do not read SMTP. Pure.

By the enhanced status code where it says something (RFC 3463, RFC 7505, the IANA registry, and what Microsoft and Google
mean by theirs), else by the server's words, else by the code's subject. Where nothing is sure, nothing is said.
"""

import re

_STAGE = re.compile(r"(\w+): ")
_REPLY = re.compile(r"\w+: ([45])\d\d(?=[ -]|$)")
_STATUS = re.compile(r"(?<![\d.])[45]\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_ADDRESS = re.compile(r"[^\s<>:,;]+@[^\s<>:,;]+")
_OURS = {
    "connecting": "our own relay cannot be reached, or does not talk to us",
    "EHLO": "our own relay does not talk to us",
    "AUTH": "our own relay does not take our sign-in: are username and password right?",
    "MAIL": "our own relay takes no mail from this account",
}
"""Said before the recipient was named: it says nothing of them."""
_SIGN_IN_LATER = "our own relay cannot check our sign-in for now"
_LATER = "that server asks to come again later"

_NO_MAILBOX = "there is no such mailbox: ask the customer for another address"
_MALFORMED = "the address is not written as addresses are"
_NO_DOMAIN = "there is no such mail domain: is the address spelled right?"
_NO_WAY = "no way to that address is known: is it spelled right?"
_NO_MAIL_AT_ALL = "the domain takes no mail at all: is the address spelled right?"
_FULL = "the mailbox is full: try again in a few days, or another address"
_OFF = "the mailbox is switched off"
_TOO_BIG = "the mail is too big for that server"
_SENDER = "our own address is not accepted as the sender: does it exist, and can mail for its domain be delivered?"
_NO_RELAYING = "the server passes on no mail for us: does the relay know this machine, or want a sign-in?"
_MEMBERS = "only its own people may write to this address"
_DANGEROUS = "that server takes the mail, or a file in it, for dangerous"
_TOO_MUCH = "too much mail for now, says that server: send it again later"
_LISTED = "our mail server stands on a block list or has a bad reputation: tell whoever looks after the relay"
_SPAM = "that server takes the mail for spam"
_UNVOUCHED = "our mail was refused, because neither SPF nor DKIM vouches for us"
_DMARC = "our mail was refused, because it does not pass DMARC: look at SPF and DKIM"
_NAMELESS = "our mail was refused, because the relay's address has no good name in the DNS"
_RECIPIENT = "the server does not take our mail for this recipient"
_POLICY = "that server refuses our mail by its policy: look at SPF, DKIM, DMARC and block lists"

_BY_STATUS = {
    "1.1": _NO_MAILBOX,
    "1.2": _NO_DOMAIN,
    "1.3": _MALFORMED,
    "1.6": "the mailbox has moved and left no address",
    "1.7": _SENDER,
    "1.8": _SENDER,
    "2.2": _FULL,
    "2.3": "the mail is too big for this mailbox",
    "3.4": _TOO_BIG,
    "4.4": _NO_WAY,
    "4.6": "the mail went round in a circle",
    "4.310": _NO_DOMAIN,
    "6.7": "the address needs SMTPUTF8, which that server does not have",
    "7.2": _MEMBERS,
    "7.20": "our mail was refused, because it has no good DKIM signature",
    "7.23": "our mail was refused, because SPF does not name the relay",
    "7.25": _NAMELESS,
    "7.26": _UNVOUCHED,
    "7.28": _TOO_MUCH,
    "7.57": _NO_RELAYING,
    "7.64": _NO_RELAYING,
    "7.124": _MEMBERS,
    "7.133": _MEMBERS,
    "7.509": _DMARC,
    "7.515": _UNVOUCHED,
}
_VAGUE = {
    "1.0": "the address was refused",
    "1.10": _NO_MAIL_AT_ALL,  # by RFC 7505; by Exchange Online an unknown recipient, which its words say
    "2.1": _OFF,
    "7.1": _RECIPIENT,
}
"""Used for so much that the words say more, where they say anything."""
_BY_SUBJECT = {
    "1": "something is wrong with the address",
    "2": "the mailbox does not take mail",
    "3": "that server cannot take this mail",
    "4": "that server cannot be reached",
    "5": "the two servers did not understand each other: tell whoever looks after the relay",
    "6": "that server does not take the mail's form",
    "7": _POLICY,
}
_SOMEBODY = r"(?:user|recipient|mailbox|account|address|alias)"
_BY_WORDS = [
    (re.compile(f"(?i){words}"), meaning)
    for words, meaning in (
        # Whose address is meant decides what "unknown" means, and why something is refused is said beside that it is.
        (r"sender (?:address |domain |e-?mail )*(?:is |was )?(?:rejected|refused|unknown|invalid|blocked|verify|verification|not |does)|(?:unknown|invalid) sender|verification failed for", _SENDER),
        (r"RESOLVER\.RST\.(?:AuthRequired|NotAuthorized|RestrictedToRecipientsPermission)|(?:only|must be) (?:accepts? mail from )?(?:members|authenticated senders)|not (?:on|in) the (?:recipient's )?allowed senders", _MEMBERS),
        (r"\brelay(?:ing)?\b[^.;]{0,30}(?:denied|not (?:permitted|allowed)|prohibited|disallowed)|(?:unable|not (?:permitted|allowed)) to relay|do(?:es)? not relay|rcpthosts|authentication (?:is )?required|(?:not|must be|must) authenticated?\b|must (?:log|sign) ?in", _NO_RELAYING),
        (r"\bvirus|malware|infected|security (?:issue|threat)|(?:attachment|file)s?[^.;]{0,30}(?:not (?:allowed|permitted|accepted)|blocked|forbidden)", _DANGEROUS),
        (r"\brate\b[^.;]{0,15}limit|at a rate|throttl|too many (?:messages|mails|e-?mails|connections|recipients|sessions)|(?:sending|hourly|daily)[^.;]{0,30}(?:limit|quota)|(?:messages|mails|e-?mails|recipients) per (?:minute|hour|day)", _TOO_MUCH),
        (r"spamhaus|spamcop|barracuda|black ?list|block ?list|\bd?n?s?[rd]?bl\b|blocked using|banned|reputation", _LISTED),
        (r"\bspam\b|unsolicited|\bjunk\b|\bUCE\b|\bUBE\b", _SPAM),
        (r"\bDMARC\b", _DMARC),
        (r"\bSPF\b|\bDKIM\b|openspf|unauthenticated", _UNVOUCHED),
        (r"\bPTR\b|reverse (?:dns|lookup|host ?name)|\brDNS\b", _NAMELESS),
        (r"null MX", _NO_MAIL_AT_ALL),
        (r"(?:mail ?box|account|inbox|user|recipient)[^.;]{0,40}(?:\bfull\b|over ?quota)|over (?:the |its )?(?:disk |storage )?quota|quota[^.;]{0,10} exceeded|exceeded[^.;]{0,25} (?:quota|storage allocation)|QuotaExceeded", _FULL),
        (r"(?:message|mail)[^.;]{0,30} too (?:big|large)|(?:size|length)[^.;]{0,30} exceed|exceed[^.;]{0,30} size|maximum (?:message )?size", _TOO_BIG),
        (rf"{_SOMEBODY}[^.;]{{0,60}}(?:disabled|inactive|suspended|deactivated|closed)", _OFF),
        (r"5\.4\.1\b[^;]{0,10}recipient address rejected", _NO_MAILBOX),  # Exchange Online
        (rf"{_SOMEBODY}[^.;:]{{0,60}}(?:\bunknown|not (?:found|known|exist|listed)|does(?:n[’']t| not) exist|\binvalid)|unknown (?:local )?{_SOMEBODY}|unknown local.?part|no such (?:local )?(?:person|{_SOMEBODY})|no mailbox (?:here|by that)|invalid {_SOMEBODY}|does(?:n[’']t| not) have an? [^ ]{{1,40}} account|Recip(?:ient)?NotFound|(?:empf(?:ä|ae)nger|benutzer)[^.;]{{0,30}} unbekannt|inconnu|desconocid|sconosciut", _NO_MAILBOX),
        (r"(?:domain|host)(?: name)? (?:was )?(?:not found|unknown|does(?:n[’']t| not) exist)|unknown (?:domain|host)|no such (?:domain|host)|NonExistentDomain|find the recipient domain", _NO_DOMAIN),
        (r"malformed address|(?:bad|invalid) (?:address )?syntax", _MALFORMED),
        (r"unrouteable|unroutable|user not local|no route to", _NO_WAY),
        (r"recipient address rejected: access denied", _RECIPIENT),
        (r"\bpolic(?:y|ies)\b|administrative(?:ly)? prohibi|\bblocked\b|access denied|black hole", _POLICY),
        (r"mailbox (?:is )?(?:unavailable|not available)", "that mailbox takes no mail, or there is none: ask the customer for another address"),
    )
]  # fmt: skip


def in_words(said: str) -> str:
    """Our words, then the server's in brackets; as it is where we know no words, or where no server said it.

    `said` is how an attempt ended: where the server said it, and its answer, as in `RCPT: 550 5.1.1 no such user`.
    """
    meaning = _meaning(said)
    return f"{meaning} ({said})" if meaning else said


def _meaning(said: str) -> str | None:
    stage, reply = _STAGE.match(said), _REPLY.match(said)
    if stage is not None and stage[1] in _OURS:
        later = reply is not None and reply[1] == "4"
        return _SIGN_IN_LATER if later and stage[1] == "AUTH" else _OURS[stage[1]]
    if reply is None:
        return None
    status = _STATUS.search(said)
    code = f"{status[1]}.{status[2]}" if status else ""
    spoken = _ADDRESS.sub("X", said)  # a name such as spam@ says nothing of the reason
    sure = _BY_STATUS.get(code) or next((meaning for words, meaning in _BY_WORDS if words.search(spoken)), None)
    if sure or reply[1] == "4":
        return sure or _LATER
    return _VAGUE.get(code) or _BY_SUBJECT.get(code.partition(".")[0])


_RELAY_LATER = (
    "the relay is there and asks to come again later: set fewer smtp.connections, or ask whoever looks after it"
)
_RELAY_REFUSES = "the relay is there and refuses us: ask whoever looks after it"
_RELAY_SAYS = [
    (re.compile(f"(?i){words}"), hint)
    for words, hint in (
        (r"does not offer STARTTLS", "set tls: implicit (mostly at port 465), or the port at which it offers STARTTLS"),
        (r"no way to sign in", "is tls right? Relays take passwords after TLS alone: starttls at port 587, or implicit at 465; or remove username and password, if it wants none"),
        (r"ca_file cannot be read", "correct smtp.ca_file"),
        (r"certificate", "smtp.host has to be the name in the relay's certificate; an authority of your own goes into smtp.ca_file"),
        (r"\bhelo\b|\behlo\b|host ?name", "the relay does not take the name that this machine has for itself: give it a full host name that the DNS knows"),
    )
]  # fmt: skip


def what_to_do(said: str) -> str:
    """About a refusal of our own relay, as `in_words` has it; empty where it depends on what was asked of it."""
    stage, reply = _STAGE.match(said), _REPLY.match(said)
    if stage is None or stage[1] not in _OURS:
        return ""
    if stage[1] == "AUTH":
        later = reply is not None and reply[1] == "4"
        return f"{_SIGN_IN_LATER}: try again later" if later else "are username and password right?"
    spoken = _ADDRESS.sub("X", said)
    meant = next((meaning for words, meaning in _BY_WORDS if reply and words.search(spoken)), "")
    if meant in (_LISTED, _NAMELESS):
        return meant
    if reply is not None and (reply[1] == "4" or meant == _TOO_MUCH):
        return _RELAY_LATER
    if stage[1] == "MAIL":
        return "" if reply else "the relay is there and says nothing: try again later"
    hint = next((hint for words, hint in _RELAY_SAYS if words.search(spoken)), "")
    return hint or (_RELAY_REFUSES if reply else "check host, port and tls")
