"""What servers say when they refuse, as they say it, and what people read."""

import pytest

from channels.email.sending.plain import in_words, what_to_do
from channels.email.sending.transfer import NO_UTF8

MAILBOX = "there is no such mailbox"
DOMAIN = "there is no such mail domain"
NO_WAY = "no way to that address is known"
FULL = "the mailbox is full"
OFF = "the mailbox is switched off"
BIG = "the mail is too big"
SENDER = "our own address is not accepted"
RELAYING = "the server passes on no mail for us"
MEMBERS = "only its own people may write"
DANGEROUS = "that server takes the mail, or a file in it, for dangerous"
TOO_MUCH = "too much mail for now"
LISTED = "our mail server stands on a block list"
SPAM = "that server takes the mail for spam"
DMARC = "our mail was refused, because it does not pass DMARC"
UNVOUCHED = "our mail was refused, because neither SPF nor DKIM"
SPF = "our mail was refused, because SPF does not name"
NAMELESS = "our mail was refused, because the relay's address has no good name"
RECIPIENT = "the server does not take our mail for this recipient"
POLICY = "that server refuses our mail by its policy"
UNAVAILABLE = "that mailbox takes no mail, or there is none"
LATER = "that server asks to come again later"

EXIM = [
    ("RCPT: 550 Unrouteable address", NO_WAY),
    ("RCPT: 550 User not local", NO_WAY),
    ("RCPT: 550 Unknown user", MAILBOX),
    ("RCPT: 550 No such user here", MAILBOX),
    ("RCPT: 550 No Such User Here\"", MAILBOX),
    ("RCPT: 550 relay not permitted", RELAYING),
    ("RCPT: 550 Administrative prohibition", POLICY),
    ("RCPT: 550 Sender verify failed", SENDER),
    ("RCPT: 550-Verification failed for <help@shop.example> The account may not exist. Sender verify failed", SENDER),
    ("RCPT: 550 Rejected because 192.0.2.1 is in a black list at zen.spamhaus.org", LISTED),
    ("dot: 552 Message size exceeds maximum permitted", BIG),
    ("dot: 550 This message contains a virus (Eicar-Test-Signature)", DANGEROUS),
    ("RCPT: 452 ann@example.org mailbox is full", FULL),
]  # fmt: skip
POSTFIX = [
    ("RCPT: 550 5.1.1 <x@y.example>: Recipient address rejected: User unknown in local recipient table", MAILBOX),
    ("RCPT: 450 4.1.2 <x@y.example>: Recipient address rejected: Domain not found", DOMAIN),
    ("RCPT: 550 <x@y.example>: Recipient address rejected: Domain not found", DOMAIN),
    ("RCPT: 554 5.7.1 <x@y.example>: Relay access denied", RELAYING),
    ("RCPT: 554 5.7.1 <x@y.example>: Recipient address rejected: Access denied", RECIPIENT),
    ("RCPT: 550 5.1.0 <help@shop.example>: Sender address rejected: User unknown in virtual mailbox table", SENDER),
    ("RCPT: 450 4.1.8 <help@shop.example>: Sender address rejected: Domain not found", SENDER),
    ("RCPT: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", LISTED),
    ("RCPT: 550 5.7.1 user unknown", MAILBOX),
    ("RCPT: 550 5.7.1 <x@y.example>: Recipient address rejected: Please see http://www.openspf.org/Why", UNVOUCHED),
    ("dot: 552 5.3.4 Error: message file too big", BIG),
    ("RCPT: 552 5.2.2 <x@y.example>: Recipient address rejected: Mailbox full", FULL),
    ("RCPT: 450 4.2.0 <x@y.example>: Recipient address rejected: Greylisted", LATER),
    ("dot: 451 4.3.0 Error: queue file write error", LATER),
    ("RCPT: 530 5.7.0 Authentication required", RELAYING),
]
MICROSOFT = [
    ("RCPT: 550 5.1.1 RESOLVER.ADR.RecipNotFound; not found", MAILBOX),
    ("RCPT: 550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", MAILBOX),
    ("RCPT: 550 5.4.1 Recipient address rejected: Access denied. [AM5EUR03.prod.protection.outlook.com]", MAILBOX),
    ("RCPT: 550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)", UNAVAILABLE),
    ("dot: 554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", FULL),
    ("dot: 550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient", BIG),
    ("dot: 550 5.7.1 RESOLVER.RST.AuthRequired; authentication required", MEMBERS),
    ("dot: 550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", MEMBERS),
    ("dot: 550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy", POLICY),
    ("RCPT: 550 5.7.1 Unable to relay", RELAYING),
    ("RCPT: 550 5.7.64 TenantAttribution; Relay Access Denied", RELAYING),
    ("RCPT: 550 5.7.606 Access denied, banned sending IP [192.0.2.1]", LISTED),
    ("dot: 550 5.7.509 Access denied, sending domain shop.example does not pass DMARC verification", DMARC),
    ("dot: 550 5.7.515 Access denied, sending domain doesn't meet the required authentication level", UNVOUCHED),
    ("dot: 554 5.4.6 Hop count exceeded - possible mail loop", "the mail went round in a circle"),
    ("RCPT: 550 5.4.310 DNS domain does not exist", DOMAIN),
]
GOOGLE = [
    ("RCPT: 550-5.1.1 The email account that you tried to reach does not exist. - gsmtp", MAILBOX),
    ("RCPT: 550 5.2.1 The email account that you tried to reach is disabled. - gsmtp", OFF),
    ("RCPT: 552-5.2.2 The recipient's inbox is out of storage space and inactive. - gsmtp", FULL),
    ("RCPT: 452-4.2.2 The email account that you tried to reach is over quota. - gsmtp", FULL),
    ("RCPT: 450-4.2.1 The user you are trying to contact is receiving mail at a rate", TOO_MUCH),
    ("dot: 552-5.2.3 Your message exceeded Google's message size limits. - gsmtp", BIG),
    ("dot: 552-5.7.0 This message was blocked because its content presents a potential security issue.", DANGEROUS),
    ("dot: 550-5.7.1 [192.0.2.1] Our system has detected that this message is likely unsolicited mail.", SPAM),
    ("dot: 550-5.7.26 Your email has been blocked because the sender is unauthenticated.", UNVOUCHED),
    ("dot: 550-5.7.26 Unauthenticated email is not accepted due to domain's DMARC policy.", UNVOUCHED),
    ("dot: 550-5.7.25 The IP address sending this message does not have a PTR record setup", NAMELESS),
    ("dot: 421-4.7.28 Our system has detected an unusual rate of unsolicited mail from your IP", TOO_MUCH),
    ("RCPT: 553-5.1.2 We weren't able to find the recipient domain. - gsmtp", DOMAIN),
    ("RCPT: 550 5.4.5 Daily user sending limit exceeded. - gsmtp", TOO_MUCH),
]  # fmt: skip
YAHOO_AND_GMX = [
    ("dot: 554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]", MAILBOX),
    ("dot: 554 30 Sorry, your message to x@yahoo.com cannot be delivered. This mailbox is disabled (554.30).", OFF),
    ("RCPT: 552 1 Requested mail action aborted, mailbox not found", MAILBOX),
    ("MAIL: 553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1", "our own relay takes no mail"),
    ("dot: 554 5.7.9 Message not accepted for policy reasons.", POLICY),
    ("RCPT: 421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", LATER),
    ("RCPT: 550 Requested action not taken: mailbox unavailable", UNAVAILABLE),
    ("dot: 550 Requested mail action not taken: mailbox unavailable; Reject due to policy restrictions", POLICY),
    ("RCPT: 552 Requested mail action aborted: exceeded storage allocation; Quota exceeded", FULL),
    ("dot: 554 Transaction failed Reject due to policy restrictions.", POLICY),
    ("connecting: 554 No SMTP service; Bad DNS PTR resource record.", "our own relay cannot be reached"),
    ("dot: 550 5.7.0 Message considered as spam or virus, rejected", DANGEROUS),
]
TRAPS = [
    ("RCPT: 550 Rate limit exceeded, too many messages per hour", TOO_MUCH),
    ("dot: 554 Message size ok but virus found", DANGEROUS),
    ("RCPT: 550 Blocked: sender unknown", SENDER),
    ("dot: 554 5.7.1 spam", SPAM),
    ("dot: 550 5.7.23 SPF validation failed", SPF),
    ("RCPT: 556 5.1.10 Recipient address has null MX", "the domain takes no mail at all"),
    ("RCPT: 550 5.7.1 no", RECIPIENT),
    ("RCPT: 550 5.1.0 no", "the address was refused"),
    ("RCPT: 550 Empfänger hier unbekannt", MAILBOX),
    ("AUTH: 454 4.7.0 later", "our own relay cannot check our sign-in for now"),
    ("AUTH: 535 5.7.8 user unknown", "our own relay does not take our sign-in"),
    ("RCPT: 452 4.2.2 no", FULL),
    ("RCPT: 452 4.2.1 no", LATER),
    ("RCPT: 550 5.2.1 <x@y.example>: user is over quota", FULL),
    ("RCPT: 550 Invalid recipient <spam@y.example>", MAILBOX),
    ("RCPT: 550 Address <x@unknown.example> does not exist", MAILBOX),
    ("RCPT: 550 No such domain at this location", DOMAIN),
    ("RCPT: 501 <x> : malformed address", "the address is not written"),
    ("RCPT: 451 no", LATER),
    ("connecting: OSError: away", "our own relay cannot be reached"),
]


@pytest.mark.parametrize(("said", "meaning"), [*EXIM, *POSTFIX, *MICROSOFT, *GOOGLE, *YAHOO_AND_GMX, *TRAPS])
def test_a_refusal_is_said_in_plain_words(said: str, meaning: str) -> None:
    words = in_words(said)
    assert words.startswith(meaning)
    assert words.endswith(f"({said})"), "the server's own words stay"


@pytest.mark.parametrize(
    "said",
    [
        NO_UTF8,
        "the mail could not be made: ValueError: Invalid Domain",
        "the mail could not be made: NotFound: no payload blob",
        "RCPT: 503 bad sequence",
        "RCPT: 550 5.0.0 no",
        "dot: TimeoutError: relay silent",
        "the sender stopped in the middle of sending",
        "",
    ],
)
def test_what_no_server_said_or_nobody_can_tell_stays_as_it_is(said: str) -> None:
    assert in_words(said) == said


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("connecting: 554 5.7.1 You are on a block list", LISTED),
        ("connecting: 554 No SMTP service; Bad DNS PTR resource record.", NAMELESS),
        ("connecting: 421 too many", "the relay is there and asks to come again later"),
        ("connecting: 554 Too many connections from your host", "the relay is there and asks to come again later"),
        ("connecting: 550 bad helo", "the relay does not take the name that this machine has"),
        ("connecting: 554 no", "the relay is there and refuses us"),
        ("connecting: SMTPConnectError: Error connecting to mx.example on port 25", "check host, port and tls"),
        ("connecting: the relay does not offer STARTTLS: is smtp.port right?", "set tls: implicit"),
        ("connecting: the relay offers no way to sign in that we know", "is tls right?"),
        ("connecting: smtp.ca_file cannot be read: nowhere.pem", "correct smtp.ca_file"),
        ("connecting: SSLCertVerificationError: certificate verify failed", "smtp.host has to be the name"),
        ("AUTH: 454 4.7.0 later", "our own relay cannot check our sign-in for now: try again later"),
        ("AUTH: 535 5.7.8 no", "are username and password right?"),
        ("MAIL: 451 later", "the relay is there and asks to come again later"),
        ("MAIL: 554 5.7.1 blocked using zen.spamhaus.org", LISTED),
        ("MAIL: TimeoutError: ", "the relay is there and says nothing"),
    ],
)
def test_a_hint_is_about_what_our_relay_refused(said: str, hint: str) -> None:
    assert what_to_do(said).startswith(hint)


@pytest.mark.parametrize("said", ["MAIL: 550 5.7.1 not you", "RCPT: 550 no such user", "dot: 554 spam", ""])
def test_no_hint_is_given_where_it_depends_on_what_was_asked(said: str) -> None:
    assert what_to_do(said) == ""
