# ruff: noqa: E501 - mails as they come
"""Automatic mail: its kind, and whether a machine may answer."""

import pytest

from channels.email.parser import subjects
from channels.email.parser.automatic import is_no_reply
from channels.email.parser.parse import parse
from tests.kit.contacts import NOW
from tests.kit.told import mail, told

DAEMON = "Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example.net>\nTo: help@shop.example\nMessage-ID: <b1@mx.example.net>\n"


def kind(head: str, body: str = "Hello", **more: object) -> str:
    found = told(f"To: help@shop.example\nMessage-ID: <m@x>\n{head}\n\n{body}", **more)
    return str(found["automatic"]["class"])


PERSON = "From: Ann <ann@example.org>\nSubject: Hello\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("Auto-Submitted: auto-replied", "auto_reply"),
        ("auto-submitted: Auto-Generated; x=y (comment)", "notification"),
        ("X-Autoreply: yes", "auto_reply"),
        ("X-Autorespond: vacation", "auto_reply"),
        ("Precedence: auto_reply", "auto_reply"),
        ("Precedence: bulk", "bulk"),
        ("Precedence: junk", "bulk"),
        ("Precedence: list", "list"),
        ("List-Id: <l.example.org>\nList-Post: <mailto:l@example.org>", "list"),
        ("Mailing-List: contact x@example.org", "list"),
        ("List-Unsubscribe: <https://x>", "bulk"),
        (
            "List-Unsubscribe: <https://x>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\nList-Id: <news.example.org>",
            "bulk",
        ),
        ("List-Unsubscribe: <https://x>\nList-Id: <news.example.org>\nPrecedence: bulk", "bulk"),
        (
            "List-Post: <mailto:l@example.org>\nList-Id: <l.example.org>\nPrecedence: bulk\nList-Unsubscribe: <x>",
            "list",
        ),
        ("List-Id: <a.github.com>\nPrecedence: list\nX-GitHub-Reason: mention\nList-Unsubscribe: <x>", "notification"),
        ("Feedback-ID: a:b:c", "bulk"),
        ("X-GitHub-Reason: mention", "notification"),
        ("X-Cron-Env: <SHELL=/bin/sh>", "notification"),
        ("X-Loop: them@example.org", "none"),
        ("X-Switchboard-Loop: 1", "own"),
        ("Return-Path: <>", "notification"),
        ("Return-Path: <>\nIn-Reply-To: <our@shop.example>", "auto_reply"),
        ("Auto-Submitted: no", "none"),
        ("X-Auto-Response-Suppress: All", "none"),
        ("X-Auto-Response-Suppress: none", "none"),
        ("Precedence: normal", "none"),
        ("List-Unsubscribe: <https://x>\nIn-Reply-To: <our@shop.example>", "none"),
    ],
)
def test_the_kind_by_a_field(head: str, expected: str) -> None:
    assert kind(PERSON + head) == expected


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("mailer-daemon@x.example", "notification"),
        ("no-reply@x.example", "notification"),
        ("noreply+7@x.example", "notification"),
        ("nagios@x.example", "notification"),
        ("quote-request@firm.example", "none"),
        ("boat-owner@mail.example", "none"),
        ("owner-jane@mail.example", "none"),
        ("bounces+7@x.example", "notification"),
        ("help@shop.example", "own"),
        ("nora.reply@x.example", "none"),
        ("alertson@x.example", "none"),
    ],
)
def test_the_kind_by_the_sender(sender: str, expected: str) -> None:
    assert kind(f"From: {sender}\nSubject: Hello", own_addresses=["Help@shop.example"]) == expected


@pytest.mark.parametrize("head", ["List-Archive: <https://y.example>", "Precedence: list"])
@pytest.mark.parametrize("sender", ["owner-list@x.example", "list-request@x.example"])
def test_a_lists_address_with_another_sign(sender: str, head: str) -> None:
    assert kind(f"From: {sender}\nSubject: Hello\n{head}") == "list"


@pytest.mark.parametrize("subject", ["Zabbix plugin question", "Nagios integration: how?", "[RESOLVED] my order 4711"])
def test_who_writes_of_monitoring_is_no_monitor(subject: str) -> None:
    assert kind(f"From: ann@example.org\nReturn-Path: <ann@example.org>\nSubject: {subject}") == "none"


AUTO_REPLIES = [
    "Automatic reply: Order", "Out of Office: Order", "Out of office", "Out-of-Office AutoReply: x", "Auto: away", "Autoreply: x", "Abwesenheitsnotiz: Bestellung", "Automatische Antwort: Bestellung",
    "Réponse automatique : Commande", "Absence du bureau", "Respuesta automática: Pedido", "Fuera de la oficina", "Risposta automatica: Ordine", "Fuori sede: x", "Automatisch antwoord: Bestelling",
    "Afwezigheidsbericht", "Resposta automática: Pedido", "Autosvar: Order", "Automatiskt svar: x", "Fraværsbesked", "Automaattinen vastaus: Tilaus", "Odpowiedź automatyczna: x", "Automatická odpověď: x",
    "Automatikus válasz: x", "Răspuns automat: x", "Otomatik yanıt: x", "Автоматический ответ: Заказ", "Автоматична відповідь: x", "Αυτόματη απάντηση: x", "自動返信: 注文", "自动回复: 订单", "자동 응답: 주문", "رد تلقائي: x", "תשובה אוטומטית: x", "Trả lời tự động: x", "Balasan otomatis: x",
]  # fmt: skip


@pytest.mark.parametrize("subject", AUTO_REPLIES)
def test_an_out_of_office_by_its_subject(subject: str) -> None:
    assert subjects.is_auto_reply(subject)
    head = f"Subject: {subject}\nIn-Reply-To: <1@shop.example>"
    found = told(mail("I am away.").replace(b"Subject: Order", head.encode()), assume_verified=True)
    assert found["automatic"]["class"] == "auto_reply"
    assert found["may_auto_answer"]["because"] == ["automatic"]


PEOPLE_ARE_AWAY = [
    ("Urlaub: Lieferung verschieben", "ich bin ab Montag im Urlaub. Bitte liefern Sie Bestellung 4711 erst danach"),
    ("Abwesend: Lieferung 4711", "Ich bin derzeit abwesend, bitte später liefern."),
    ("Out of office next week - please deliver order 4711 later", "I will be out of the office. Can you wait?"),
    ("Absence : livraison 4711", "Je suis absent la semaine prochaine, pouvez-vous livrer après ?"),
    ("Ausencia: pedido 4711", "Estoy de vacaciones hasta el lunes, por favor entreguen después"),
    ("OOO: delivery 4711", "I'm away until Tuesday, can you deliver on Wednesday?"),
]


@pytest.mark.parametrize(("subject", "text"), PEOPLE_ARE_AWAY)
def test_a_person_who_is_away_is_no_machine(subject: str, text: str) -> None:
    """They were closed as automatic, and nobody saw them. An out-of-office answers a mail."""
    raw = mail(text).replace(b"Subject: Order", f"Subject: {subject}".encode())
    assert told(raw)["automatic"]["class"] == "none"
    answering = raw.replace(b"Subject: ", b"In-Reply-To: <1@shop.example>\nSubject: ")
    assert told(answering)["automatic"]["class"] == "auto_reply"


CONFIRMATIONS = [
    ("Please confirm the delivery of PO 4711", "please reply to this mail to confirm the delivery date of our order."),
    ("Please confirm your delivery date", "Could you reply today to confirm? Otherwise we cancel 4711."),
    ("Waiting for confirmation", "I ordered 4711 on Monday. Please reply to confirm."),
    ("Verification needed for your email - I cannot log in", "I click on the link to verify my account, in vain"),
    ("Please verify your email asks me every time", "When I click the link to confirm my address I get an error"),
]


@pytest.mark.parametrize(("subject", "text"), CONFIRMATIONS)
def test_who_asks_for_a_confirmation_is_no_spam_filter(subject: str, text: str) -> None:
    """They were taken for challenges, and closed."""
    assert told(mail(text).replace(b"Subject: Order", f"Subject: {subject}".encode()))["automatic"]["class"] == "none"


@pytest.mark.parametrize(
    "text",
    [
        "Please click the link below to confirm your message.",
        "To have your message delivered, reply to this mail and prove that you are a human.",
        "Follow this link to release your message to Ann.",
        "You will be added to my white list.",
    ],
)
def test_a_challenge_asks_the_sender_to_prove_himself(text: str) -> None:
    raw = mail(text).replace(b"Subject: Order", b"Subject: Please confirm your message")
    assert told(raw)["automatic"]["class"] == "challenge"


@pytest.mark.parametrize(
    "subject",
    [
        "Re: Automatic reply: lunch",
        "Out of office hours support?",
        "Automatic gearbox",
        "My holiday booking",
        "Question about delivery failure",
        "Undelivered parcel",
        "Return of my order",
        "Read this: urgent",
        "Alarm clock broken",
        "Auto parts",
        "Fwd: Undeliverable: Order",
        "Delivery problem with my order",
    ],
)
def test_people_write_such_subjects_too(subject: str) -> None:
    assert kind(f"From: ann@example.org\nReturn-Path: <ann@example.org>\nSubject: {subject}") == "none"


def test_to_suppress_an_answer_is_not_to_be_automatic() -> None:
    found = told(
        PERSON + "To: help@shop.example\nX-Auto-Response-Suppress: OOF, AutoReply\n\nHello", assume_verified=True
    )
    assert found["automatic"]["class"] == "none"
    assert found["may_auto_answer"] == {"ok": False, "to": "ann@example.org", "because": ["suppressed"]}


def test_a_persons_mail_may_be_answered() -> None:
    found = told(
        PERSON + "To: help@shop.example\n\nWhen do you open?",
        assume_verified=True,
        own_addresses=["help@shop.example"],
        account=True,
    )
    assert found["may_auto_answer"] == {"ok": True, "to": "ann@example.org", "because": []}


def test_every_failing_check_is_named() -> None:
    found = told(
        "Return-Path: <>\nFrom: No Reply <noreply@example.org>\nTo: other@else.example\nDate: Mon, 4 May 2020 10:00:00 +0000\nAuto-Submitted: auto-generated\nX-Auto-Response-Suppress: All\n\nx",
        own_addresses=["help@shop.example"],
        account=True,
    )
    assert found["may_auto_answer"] == {
        "ok": False,
        "to": None,
        "because": [
            "automatic",
            "suppressed",
            "null_return_path",
            "no_reply_address",
            "not_addressed_to_us",
            "unknown_sender",
            "too_old",
        ],
    }
    own = told(
        "From: help@shop.example\nTo: help@shop.example\n\nx", own_addresses=["help@shop.example"], assume_verified=True
    )
    assert own["may_auto_answer"]["because"] == ["automatic", "own_address"]
    fail = told(
        "Authentication-Results: mx; dmarc=fail header.from=x.example\nFrom: a@x.example\n\nx", authserv_ids=["mx"]
    )
    assert fail["may_auto_answer"]["because"] == ["auth_failed"]


def dsn(
    action: str,
    status: str,
    *,
    extra: str = "",
    returned: str = "Message-ID: <sent-1@shop.example>\nSubject: Your order\n",
) -> str:
    return (
        f'{DAEMON}Subject: Undelivered Mail Returned to Sender\nContent-Type: multipart/report; report-type=delivery-status; boundary="=b"\n\n'
        "--=b\nContent-Type: text/plain\n\nThis is the mail system at host mx.example.net.\n\n"
        "--=b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n"
        f"Final-Recipient: rfc822; ann@example.org\n{extra}Action: {action}\nStatus: {status}\nDiagnostic-Code: smtp; 550 {status} no\n\n"
        f"--=b\nContent-Type: message/rfc822\n\nFrom: help@shop.example\n{returned}\nhello\n--=b--\n"
    )


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("failed", "5.1.1", "hard"),
        ("failed", "4.4.7", "soft"),
        ("failed", "5.2.2", "soft"),
        ("delayed", "4.4.1", "delayed"),
        ("failed", "5.7.1", "soft"),
        ("failed", "5.3.4", "soft"),
    ],
)
def test_a_bounce_by_rfc_3464(action: str, status: str, expected: str) -> None:
    found = told(dsn(action, status))
    assert found["automatic"]["class"] == "bounce"
    assert found["bounce"] == {
        "kind": expected,
        "status": status,
        "recipient": "ann@example.org",
        "recipients": ["ann@example.org"],
        "about_message_id": "sent-1@shop.example",
    }
    assert [each["type"] for each in found["attachments"]] == ["message/delivery-status", "message/rfc822"]


def test_a_delivery_report_is_no_bounce() -> None:
    found = told(dsn("delivered", "2.0.0"))
    assert (found["automatic"]["class"], found["bounce"]) == ("delivery_report", None)


def test_a_bounce_names_the_address_that_we_wrote_to() -> None:
    found = told(
        dsn("failed", "5.0.0", extra="Original-Recipient: rfc822;alias+40example.org\n").replace(
            "550 5.0.0 no", "550-5.1.1 no such user"
        )
    )
    assert (found["bounce"]["recipient"], found["bounce"]["status"]) == ("alias@example.org", "5.1.1")


def test_a_person_who_shows_us_a_bounce_is_no_bounce() -> None:
    """The question was closed with it."""
    body = "--=b\nContent-Type: text/plain\n\nWhat does this mean?\n--=b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; ann@example.org\nAction: failed\nStatus: 5.1.1\n--=b--\n"
    found = told(mail(body, 'Content-Type: multipart/mixed; boundary="=b"'), assume_verified=True)
    assert (found["automatic"]["class"], found["may_auto_answer"]["ok"]) == ("none", True)


STYLES = {
    "qmail": (
        "failure notice",
        "Hi. This is the qmail-send program at mx.example.net.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<ann@example.org>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <help@shop.example>\nMessage-ID: <sent-1@shop.example>\nTo: ann@example.org\n\nhello",
        "", "hard", "5.1.1",
    ),
    "exim": (
        "Mail delivery failed: returning message to sender",
        "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  ann@example.org\n    Unrouteable address\n\n------ This is a copy of the message, including all the headers. ------\n\nMessage-Id: <sent-1@shop.example>\nTo: ann@example.org\n\nhello",
        "X-Failed-Recipients: ann@example.org\n", "hard", None,
    ),
    "exim, delayed": (
        "Warning: message 1abcde-000 delayed 24 hours",
        "A message that you sent has not yet been delivered to one or more of its\nrecipients after more than 24 hours on the queue.\n\n  ann@example.org\n    Delay reason: connection timed out\n\nNo action is required on your part. Delivery attempts will continue.\n\nMessage-Id: <sent-1@shop.example>",
        "", "delayed", None,
    ),
    "exchange 2003": (
        "Undeliverable: Your order",
        "Your message did not reach some or all of the intended recipients.\n\n      Subject:  Your order\n      Sent:     5/4/2026 10:00 AM\n\nThe following recipient(s) could not be reached:\n\n      ann@example.org on 5/4/2026 10:00 AM\n            The e-mail account does not exist at the organization this message was sent to.\n            <mx.example.net #5.1.1>\n",
        "In-Reply-To: <sent-1@shop.example>\n", "hard", "5.1.1",
    ),
    "domino": (
        "DELIVERY FAILURE: User ann (ann@example.org) not listed in Domino Directory",
        "Your message\n\n  Subject: Your order\n\nwas not delivered to:\n\n  ann@example.org\n\nbecause:\n\n  User ann (ann@example.org) not listed in Domino Directory\n",
        "References: <sent-1@shop.example>\n", "hard", None,
    ),
    "docomo": (
        "Undelivered Mail Returned to Sender",
        "次のあて先へのメッセージはエラーのため送信できませんでした。\n送信先メールアドレスが見つからないか、送信先メールサーバの事情により送信できませんでした。\n\n<ann@example.org>: 550 Unknown user ann@example.org\n\nMessage-ID: <sent-1@shop.example>",
        "", "hard", None,
    ),
    "kddi": (
        "Mail System Error - Returned Mail",
        "This Message was undeliverable due to the following reason:\n\nEach of the following recipients was rejected by a remote mail server.\nThe reasons given by the server are included to help you determine why\neach recipient was rejected.\n\n    Recipient: <ann@example.org>\n    Reason:    <ann@example.org>: User unknown\n\nMessage-ID: <sent-1@shop.example>\n",
        "", "hard", None,
    ),
    "sendmail, old": (
        "Returned mail: Unable to deliver mail",
        "   ----- The following addresses had permanent fatal errors -----\n<ann@example.org>\n\n   ----- Transcript of session follows -----\n... while talking to mx.example.org.:\n>>> RCPT To:<ann@example.org>\n<<< 550 User unknown\n\n   ----- Original message follows -----\nMessage-Id: <sent-1@shop.example>\n",
        "", "hard", None,
    ),
    "163.com": (
        "系统退信",
        "抱歉，您的邮件被退回来了……\n原邮件信息：\n时间: 2026\n主题: x\n收件人: ann@example.org\n退信原因：\n收件人的邮箱不存在\nuser not found\n",
        "In-Reply-To: <sent-1@shop.example>\n", "hard", None,
    ),
    "qq.com": (
        "系统退信/Systems bounce",
        "很抱歉，您发送的邮件被退回，以下是该邮件的相关信息：\n收件人邮件地址（ann@example.org）不存在，邮件无法送达。\nhost qq.com said: 550 Mailbox not found",
        "In-Reply-To: <sent-1@shop.example>\n", "hard", None,
    ),
    "mailbox full": (
        "Delivery failure",
        "Your message could not be delivered.\n\n<ann@example.org>: the mailbox is full, please try again later\n\nMessage-ID: <sent-1@shop.example>\n",
        "", "soft", None,
    ),
    "gmail": (
        "Delivery Status Notification (Failure)",
        "Delivery to the following recipient failed permanently:\n\n     ann@example.org\n\nTechnical details of permanent failure:\nGoogle tried to deliver your message, but it was rejected. 550 5.1.1 no such user\n\n----- Original message -----\n\nMessage-ID: <sent-1@shop.example>\n",
        "", "hard", "5.1.1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "body", "head", "expected", "status"), STYLES.values(), ids=STYLES)
def test_a_bounce_in_the_style_of(subject: str, body: str, head: str, expected: str, status: str | None) -> None:
    found = told(f"{DAEMON}{head}Subject: {subject}\n\n{body}")
    assert found["automatic"]["class"] == "bounce"
    bounce = found["bounce"]
    assert (bounce["kind"], bounce["status"]) == (expected, status)
    assert bounce["recipients"] == ["ann@example.org"]
    assert bounce["about_message_id"] == "sent-1@shop.example"


def report_of(kind_: str, part: str, fields: str, subject: str) -> str:
    return (
        f'From: Ann <ann@example.org>\nTo: help@shop.example\nSubject: {subject}\nContent-Type: multipart/report; report-type={kind_}; boundary="=b"\n\n'
        f"--=b\nContent-Type: text/plain\n\nwords\n--=b\nContent-Type: message/{part}\n\n{fields}\n--=b--\n"
    )


@pytest.mark.parametrize(
    ("head", "envelope_to", "ours"),
    [
        ("To: help@shop.example\n", (), True),
        ("Cc: Help+abc@shop.example\n", (), True),
        ("To: everybody@partners.example\n", (), False),
        ("To: everybody@partners.example\n", ("help@shop.example",), True),
        ("To: everybody@partners.example\nDelivered-To: help@shop.example\n", (), True),
    ],
)
def test_what_is_addressed_to_none_of_us_says_so_to_the_router(
    head: str, envelope_to: tuple[str, ...], ours: bool
) -> None:
    raw = f"From: ann@example.org\n{head}Subject: Hi\n\nHello\n".encode()
    own = ("help@shop.example",)
    made = parse(raw, account="help", received_at=NOW, envelope_to=envelope_to, own_addresses=own)
    assert ("not_addressed_to_us" in made.flags) is not ours


def test_a_receipt_by_rfc_8098() -> None:
    found = told(
        report_of(
            "disposition-notification",
            "disposition-notification",
            "Final-Recipient: rfc822;ann@example.org\nOriginal-Message-ID: <sent-1@shop.example>\nDisposition: manual-action/MDN-sent-manually; displayed",
            "Read: Your order",
        )
    )
    assert found["automatic"]["class"] == "receipt"


def test_a_feedback_report() -> None:
    found = told(
        report_of(
            "feedback-report", "feedback-report", "Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1", "complaint"
        )
    )
    assert found["automatic"]["class"] == "feedback_report"


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        (
            "Your email requires verification verify#abc123",
            "The message you sent requires that you verify that you are a real live human being and not a spam source.",
        ),
        ("Please confirm your message", "Click here to prove that you are a human and have your message delivered."),
        ("[SpamArrest] action required to deliver your mail", "Please click to verify."),
    ],
)
def test_a_challenge(subject: str, body: str) -> None:
    assert kind(f"From: bob@example.net\nReturn-Path: <>\nSubject: {subject}", body) == "challenge"


@pytest.mark.parametrize(
    "subject",
    [
        "** PROBLEM Service Alert: web/HTTP is CRITICAL **",
        "[FIRING:1] HighLoad",
        "Cron <root@web> /usr/bin/backup",
        "[Zabbix] disk full",
    ],
)
def test_a_monitoring_alert(subject: str) -> None:
    assert kind(f"From: ops@example.net\nSubject: {subject}") == "notification"


def test_our_own_list_is_no_list() -> None:
    found = told(
        "From: Ann via Support <support@shop.example>\nX-Original-From: Ann <ann@example.org>\nReply-To: Ann <ann@example.org>\nTo: support@shop.example\nList-Id: <support.shop.example>\nList-Post: <mailto:support@shop.example>\nPrecedence: list\nSubject: Hello\n\nx",
        own_addresses=["support@shop.example"],
        own_lists=["support@shop.example"],
        assume_verified=True,
    )
    assert found["sender"] == {"name": "Ann", "address": "ann@example.org"}
    assert found["from"]["address"] == "support@shop.example"
    assert found["automatic"]["class"] == "none"
    assert found["may_auto_answer"] == {"ok": True, "to": "ann@example.org", "because": []}


def test_our_own_form_relay_is_the_customers() -> None:
    raw = "From: Website <web@shop.example>\nReply-To: Ann <ann@example.org>\nTo: help@shop.example\nSubject: Form\n\nx"
    found = told(raw, own_addresses=["web@shop.example"], trusted_forms=["web@shop.example"])
    assert (found["sender"]["address"], found["automatic"]["class"]) == ("ann@example.org", "none")
    assert not {"null_return_path", "automatic"} & set(found["may_auto_answer"]["because"])
    assert told(raw)["sender"]["address"] == "web@shop.example", "a Reply-To is never trusted by itself"


def test_a_mail_system_that_says_only_in_its_own_words_that_it_bounces() -> None:
    found = told(
        "From: MDaemon@receive.example\nTo: help@shop.example\nPrecedence: bulk\nSubject: Permanent Delivery Failure\n\n"
        "The attached message had PERMANENT fatal delivery errors!\n\n"
        "After one or more unsuccessful delivery attempts the attached message has\nbeen removed from the mail queue on this server.\n\n"
        "YOUR MESSAGE WAS NOT DELIVERED TO ONE OR MORE RECIPIENTS!\n\nFailed address: ann@example.org\n\n--- Session Transcript ---\n"
    )
    assert (found["automatic"]["class"], found["bounce"]["recipient"]) == ("bounce", "ann@example.org")


def test_a_bounce_that_somebody_forwards_is_that_persons_mail() -> None:
    found = told(
        "From: bob@example.net\nTo: help@shop.example\nSubject: Fwd: Undelivered Mail Returned to Sender\n\nwhat is this?\n\n"
        "---------- Forwarded message ---------\nFrom: MAILER-DAEMON@x.example\nDate: Mon\nSubject: Undelivered\nTo: bob\n\n<ann@example.org>: 550 user unknown\n"
    )
    assert (found["automatic"]["class"], found["bounce"]) == ("none", None)


@pytest.mark.parametrize(
    "subject",
    [
        "Urlaub: Anfrage Ferienwohnung August", "Auto: Frage zur Versicherung", "Auto reply to my ad is broken", "Nieobecność dziecka",
        "Alert: my account was hacked", "Critical] x", "OK: disk is full, how do I fix", "Problem: my CPU is down", "Resolved: thanks, memory works",
        "Abwesend: Kundin nicht zu Hause bei Lieferung", "Absence du bureau de poste", "Out of office chairs?", "Holiday message for your team",
        "vacation response time", "Fuori sede: spedizione", "I am out of office chairs", "Autosvar fra dere er feil", "Frånvarande paket",
        "Automatische Antwort auf Ihrer Webseite kaputt", "Abwesenheitsnotiz funktioniert nicht", "Vacation notice for my apartment", "Urlaubsmeldung einreichen - wie?",
    ],
)  # fmt: skip
def test_a_subject_alone_does_not_make_a_persons_mail_automatic(subject: str) -> None:
    person = f"From: ann@example.org\nReturn-Path: <ann@example.org>\nSubject: {subject}"
    assert kind(person, "Hello, my parcel did not arrive. What happened?") == "none"


@pytest.mark.parametrize(
    ("subject", "second", "expected"),
    [
        ("Urlaub: Bestellung", "Auto-Submitted: auto-generated", "auto_reply"),
        ("Afwezig: bestelling", "X-Auto-Response-Suppress: All", "auto_reply"),
        ("Absence: commande", "Return-Path: <>", "auto_reply"),
        ("Alert: db is slow", "Auto-Submitted: auto-generated", "notification"),
    ],
)
def test_a_subject_and_a_second_sign_do(subject: str, second: str, expected: str) -> None:
    assert kind(f"From: ann@example.org\n{second}\nSubject: {subject}", "Bis Montag.") == expected


@pytest.mark.parametrize(
    "subject",
    ["Automatic reply: Order", "Abwesenheitsnotiz: x", "AUTO: Bob is out of the office (x)", "Out of Office AutoReply: x", "Automatické odpovede: x", "Tự động trả lời: x"],
)  # fmt: skip
def test_the_fixed_form_of_an_auto_replys_subject_is_enough(subject: str) -> None:
    assert kind(f"From: ann@example.org\nSubject: {subject}", "Bis Montag.") == "auto_reply"


@pytest.mark.parametrize("more", ["", "Auto-Submitted: auto-generated\n", "Return-Path: <>\n", "Precedence: bulk\n"])
@pytest.mark.parametrize("relay", ["wordpress@shop.example", "noreply@shop.example"])
def test_what_a_form_relay_says_of_itself_is_not_the_customers(relay: str, more: str) -> None:
    found = told(
        f"From: {relay}\nReply-To: Ann <ann@example.org>\n{more}To: help@shop.example\nSubject: Form\n\nPlease cancel.",
        own_addresses=["help@shop.example"],
        trusted_forms=[relay],
    )
    assert (found["sender"]["address"], found["automatic"]["class"]) == ("ann@example.org", "none")


@pytest.mark.parametrize(
    "head",
    [
        "From: ann@example.org\nFeedback-ID: 1.eu-west-1.abc=:AmazonSES",
        "From: ann@example.org\nX-Loop: ann@forward.example",
        "From: mail-service@hotel.example",
        "From: email.service@hotel.example",
        "From: mail.agent@x.example",
        "From: mailing@agency.example",
        "From: mailadmin@customer.example",
        "From: newsletter@agency.example\nIn-Reply-To: <r1@shop.example>",
        "From: delivery.service@courier.example",
    ],
)
def test_one_weak_sign_does_not_make_a_persons_mail_automatic(head: str) -> None:
    assert kind(f"{head}\nSubject: Delivery problem", "The parcel could not be delivered to your customer.") == "none"


@pytest.mark.parametrize(
    "subject", ["Failure notice", "Delivery Status Notification (Failure)", "Mail delivery failed: returning message to sender", "Undeliverable mail"],
)  # fmt: skip
def test_a_person_who_asks_about_a_bounce_is_no_bounce(subject: str) -> None:
    assert kind(f"From: ann@example.org\nSubject: {subject}", "I got this back: could not be delivered.") == "none"


@pytest.mark.parametrize(
    ("head", "expected"),
    [("X-POST-MessageClass: 9; Autoresponder", "auto_reply"), ("X-RT-Loop-Prevention: x", "notification"), ("X-Mailer: autoreply", "auto_reply")],
)  # fmt: skip
def test_fields_of_programs_that_went_unnoticed(head: str, expected: str) -> None:
    assert kind(PERSON + head) == expected


def test_our_own_address_with_a_tag_is_ours() -> None:
    assert kind("From: support+abc@shop.example\nSubject: x", own_addresses=["support@shop.example"]) == "own"


@pytest.mark.parametrize(
    "local",
    ["noreply2", "noreply_x", "please-do-not-reply", "donotreply.x", "notreply", "noreplies", "nepasrepondre-facture", "ikke-svar", "svarikke", "ei-vastata", "keine-antwort", "no-contestar", "nie-odpowiadaj"],
)  # fmt: skip
def test_addresses_that_nobody_reads(local: str) -> None:
    assert is_no_reply(f"{local}@x.example")


@pytest.mark.parametrize("local", ["nora.reply", "casino.reply", "reply", "nothing", "info", "nobody.knows"])
def test_addresses_that_somebody_reads(local: str) -> None:
    assert not is_no_reply(f"{local}@x.example")


def test_a_policy_refusal_that_says_that_the_user_is_unknown_is_hard() -> None:
    assert told(dsn("failed", "5.7.1").replace("550 5.7.1 no", "550 5.7.1 user unknown"))["bounce"]["kind"] == "hard"


def test_a_person_without_an_address_who_writes_of_a_returned_letter_is_no_bounce() -> None:
    assert kind("From: Ann Smith\nSubject: help", "please help, my letter was returned to sender") == "none"
    assert kind("From: Mail Delivery System\nSubject: Undeliverable: x", "could not be delivered") == "bounce"


SEVERAL = {
    "a comment first": "Auto-Submitted: (vacation) auto-replied",
    "two fields": "Auto-Submitted: no\nAuto-Submitted: auto-replied",
    "two precedences": "Precedence: normal\nPrecedence: auto_reply",
    "ServiceNow": "X-ServiceNow-Generated: true",
}


@pytest.mark.parametrize("head", SEVERAL.values(), ids=SEVERAL)
def test_what_says_that_a_machine_wrote_is_heard_wherever_it_stands(head: str) -> None:
    assert kind(PERSON + head) in ("auto_reply", "notification")


@pytest.mark.parametrize("words", ["DR RN OOF AutoReply", "DR;OOF", "DR, AutoReply"])
def test_answers_are_suppressed_however_the_words_are_parted(words: str) -> None:
    found = told(f"{PERSON}To: help@shop.example\nX-Auto-Response-Suppress: {words}\n\nHello", assume_verified=True)
    assert found["may_auto_answer"]["because"] == ["suppressed"]


@pytest.mark.parametrize("sender", ["noreplyshop@x.example", "mailnoreply@x.example", "info@noreply.x.example"])
def test_an_address_says_itself_that_nobody_reads_it(sender: str) -> None:
    found = told(f"From: {sender}\nSubject: Hello\n\nHello", assume_verified=True)
    assert "no_reply_address" in found["may_auto_answer"]["because"]


def test_a_report_on_dmarc_is_a_notification() -> None:
    subject = "Report Domain: shop.example Submitter: enterprise.example Report-ID: 4711"
    assert kind(f"From: dmarc@x.example\nSubject: {subject}") == "notification"


def test_an_own_address_with_a_detail_is_named() -> None:
    found = told(
        "From: support+tag@shop.example\nSubject: Hello\n\nHello",
        own_addresses=["support@shop.example"],
        assume_verified=True,
    )
    assert "own_address" in found["may_auto_answer"]["because"]


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        ("5.0.0", "554 rejected due to the sending MTA's poor reputation", "soft"),
        ("5.0.0", "554 blocked using zen.spamhaus.org", "soft"),
        ("5.0.0", "550 Mailbox quota exceeded", "soft"),
        ("5.4.6", "mail loop detected", "soft"),
        ("5.1.8", "sender domain does not exist", "soft"),
        ("5.0.0", "550 user unknown, see our policy", "hard"),
        ("5.4.1", "Recipient address rejected: Access denied", "hard"),
    ],
)
def test_what_is_our_fault_or_passes_marks_no_address(status: str, words: str, expected: str) -> None:
    """One day on a block list made every customer behind it undeliverable."""
    raw = dsn("failed", status).replace(f"550 {status} no", words)
    assert told(raw)["bounce"]["kind"] == expected


@pytest.mark.parametrize("reply_to", ["", "Reply-To: support+abc@shop.example\n"], ids=["nobody's", "ours"])
def test_a_form_that_names_no_customer_is_not_answered(reply_to: str) -> None:
    """It was answered at our own address, which anybody could type in."""
    found = told(
        f"From: form@shop.example\n{reply_to}To: support@shop.example\nSubject: Hello\n\nHello",
        own_addresses=["support@shop.example"],
        trusted_forms=["form@shop.example"],
        assume_verified=True,
    )
    assert "own_address" in found["may_auto_answer"]["because"]
