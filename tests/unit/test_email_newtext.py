# ruff: noqa: E501 - mails as they come
"""New text, history, signature, forwarded mail."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.email.parser.newtext import said
from tests.kit.told import mail, multipart, told

ATTRIBUTIONS = {
    "en": "On Mon, May 4, 2026 at 10:00 AM Bob Smith <bob@x.example> wrote:",
    "en, wrapped": "On Mon, May 4, 2026 at 10:00 AM Bob Smith\n<bob@x.example> wrote:",
    "en, apple": "On 4 May 2026, at 10:00, Bob Smith <bob@x.example> wrote:",
    "de": "Am Mo., 4. Mai 2026 um 10:00 Uhr schrieb Bob Smith <bob@x.example>:",
    "de, thunderbird": "Am 04.05.26 um 10:00 schrieb Bob Smith:",
    "fr": "Le lun. 4 mai 2026 à 10:00, Bob Smith <bob@x.example> a écrit :",
    "es": "El lun, 4 may 2026 a las 10:00, Bob Smith (<bob@x.example>) escribió:",
    "it": "Il giorno lun 4 mag 2026 alle ore 10:00 Bob Smith <bob@x.example> ha scritto:",
    "nl": "Op ma 4 mei 2026 om 10:00 schreef Bob Smith <bob@x.example>:",
    "pt": "Em seg., 4 de mai. de 2026 às 10:00, Bob Smith <bob@x.example> escreveu:",
    "sv": "Den mån 4 maj 2026 kl 10:00 skrev Bob Smith <bob@x.example>:",
    "da": "Den man. 4. maj 2026 kl. 10.00 skrev Bob Smith <bob@x.example>:",
    "no": "man. 4. mai 2026 kl. 10:00 skrev Bob Smith <bob@x.example>:",
    "fi": "ma 4. toukok. 2026 klo 10.00 Bob Smith (bob@x.example) kirjoitti:",
    "pl": "pon., 4 maj 2026 o 10:00 Bob Smith <bob@x.example> napisał(a):",
    "cs": "po 4. 5. 2026 v 10:00 odesílatel Bob Smith <bob@x.example> napsal:",
    "hu": "Bob Smith <bob@x.example> ezt írta (időpont: 2026. máj. 4., H, 10:00):",
    "ro": "În lun., 4 mai 2026 la 10:00, Bob Smith <bob@x.example> a scris:",
    "tr": "Bob Smith <bob@x.example>, 4 May 2026 Pzt, 10:00 tarihinde şunu yazdı:",
    "ru": "пн, 4 мая 2026 г. в 10:00, Bob Smith <bob@x.example>:",
    "ru, thunderbird": "04.05.2026 10:00, Bob Smith пишет:",
    "uk": "пн, 4 трав. 2026 р. о 10:00 Bob Smith <bob@x.example> пише:",
    "el": "Στις Δευ 4 Μαΐ 2026 στις 10:00 π.μ., ο/η Bob Smith <bob@x.example> έγραψε:",
    "ja": "2026年5月4日(月) 10:00 Bob Smith <bob@x.example>:",
    "zh": "Bob Smith <bob@x.example> 于2026年5月4日周一 10:00写道：",
    "ko": "2026년 5월 4일 (월) 오전 10:00, Bob Smith <bob@x.example>님이 작성:",
    "vi": "Vào Th 2, 4 thg 5, 2026 vào lúc 10:00 Bob Smith <bob@x.example> đã viết:",
    "he": "‫בתאריך יום ב׳, 4 במאי 2026 ב-10:00 מאת ‪Bob Smith‬‏ <‪bob@x.example‬‏>:‬",
    "ar": "في الاثنين، 4 مايو 2026 في 10:00 ص تمت كتابة ما يلي بواسطة Bob <bob@x.example>:",
    "id": "Pada tanggal Sen, 4 Mei 2026 pukul 10.00 Bob Smith <bob@x.example> menulis:",
    "fi, thunderbird": "Bob Smith kirjoitti 4.5.2026 klo 10.00:",
    "cs, thunderbird": "Dne 04. 05. 26 v 10:00 Bob Smith napsal(a):",
    "hr": "pon, 4. svi 2026. u 10:00 Bob Smith <bob@x.example> napisao je:",
    "et": "Kontakt Bob Smith (<bob@x.example>) kirjutas kuupäeval E, 4. mai 2026 kell 10:00:",
    "ca": "Missatge de Bob Smith <bob@x.example> del dia dl., 4 de maig 2026 a les 10:00:",
    "zoho": "---- On Mon, 04 May 2026 10:00:00 +0200 Bob Smith <bob@x.example> wrote ----",
    "zoho, de": "---- Am Mo, 04 Mai 2026 10:00:00 +0200 Bob Smith <bob@x.example> schrieb ----",
    "qq": "------------------ Original ------------------",
    "horde": "Quoting Bob Smith <bob@x.example>:",
    "horde, de": "Zitat von Bob Smith <bob@x.example>:",
    "horde, es": "Citando Bob Smith <bob@x.example>:",
    "name alone": "Bob Smith wrote:",
}
MARKED = {"de, thunderbird", "fi, thunderbird", "cs, thunderbird", "horde", "horde, de", "horde, es", "name alone"}
"""Whose mailers always set quote marks."""
BLOCKS = {
    "en": "From: Bob Smith <bob@x.example>\nSent: Monday, May 4, 2026 10:00 AM\nTo: Ann <ann@x.example>\nSubject: Order",
    "en, bold": "*From:* Bob Smith <bob@x.example>\n*Sent:* Monday, May 4, 2026 10:00 AM\n*To:* Ann\n*Subject:* Order",
    "en, marked": "-----Original Message-----\nFrom: Bob Smith\nSent: Monday\nTo: Ann\nSubject: Order",
    "en, ruled": "________________________________\nFrom: Bob Smith\nSent: Monday\nTo: Ann\nSubject: Order",
    "de": "Von: Bob Smith <bob@x.example>\nGesendet: Montag, 4. Mai 2026 10:00\nAn: Ann\nBetreff: Bestellung",
    "de, marked": "-----Ursprüngliche Nachricht-----\nVon: Bob\nGesendet: Montag\nAn: Ann\nBetreff: Bestellung",
    "fr": "De : Bob Smith <bob@x.example>\nEnvoyé : lundi 4 mai 2026 10:00\nÀ : Ann\nObjet : Commande",
    "es": "De: Bob Smith\nEnviado el: lunes, 4 de mayo de 2026 10:00\nPara: Ann\nAsunto: Pedido",
    "it": "Da: Bob Smith\nInviato: lunedì 4 maggio 2026 10:00\nA: Ann\nOggetto: Ordine",
    "nl": "Van: Bob Smith\nVerzonden: maandag 4 mei 2026 10:00\nAan: Ann\nOnderwerp: Bestelling",
    "pt": "De: Bob Smith\nEnviada em: segunda-feira, 4 de maio de 2026 10:00\nPara: Ann\nAssunto: Pedido",
    "sv": "Från: Bob Smith\nSkickat: den 4 maj 2026 10:00\nTill: Ann\nÄmne: Order",
    "da": "Fra: Bob Smith\nSendt: 4. maj 2026 10:00\nTil: Ann\nEmne: Ordre",
    "fi": "Lähettäjä: Bob Smith\nLähetetty: maanantai 4. toukokuuta 2026\nVastaanottaja: Ann\nAihe: Tilaus",
    "pl": "Od: Bob Smith\nWysłano: poniedziałek, 4 maja 2026 10:00\nDo: Ann\nTemat: Zamówienie",
    "cs": "Od: Bob Smith\nOdesláno: pondělí 4. května 2026\nKomu: Ann\nPředmět: Objednávka",
    "tr": "Kimden: Bob Smith\nGönderildi: 4 Mayıs 2026\nKime: Ann\nKonu: Sipariş",
    "ru": "От: Bob Smith\nОтправлено: 4 мая 2026 г. 10:00\nКому: Ann\nТема: Заказ",
    "ja": "差出人: Bob Smith\n送信日時: 2026年5月4日 10:00\n宛先: Ann\n件名: 注文",
    "zh": "发件人: Bob Smith\n发送时间: 2026年5月4日 10:00\n收件人: Ann\n主题: 订单",
    "ko": "보낸 사람: Bob Smith\n보낸 날짜: 2026년 5월 4일\n받는 사람: Ann\n제목: 주문",
    "sk": "Od: Bob Smith\nOdoslané: pondelok 4. mája 2026 10:00\nKomu: Ann\nPredmet: objednávka",
    "bg": "От: Bob Smith\nИзпратено: понеделник 10:00\nДо: Ann\nОтносно: поръчка",
    "hr": "Od: Bob Smith\nPoslano: 4. svibnja 2026. 10:00\nPrima: Ann\nPredmet: narudžba",
    "vi": "Từ: Bob Smith\nĐã gửi: Thứ Hai, 4 tháng 5, 2026 10:00\nĐến: Ann\nChủ đề: đơn hàng",
    "ar": "من: Bob Smith\nتم الإرسال: 4 مايو 2026 10:00\nإلى: Ann\nالموضوع: طلب",
    "tw": "寄件者: Bob Smith\n寄件日期: 2026年5月4日 10:00\n收件者: Ann\n主旨: 訂單",
}


@pytest.mark.parametrize(
    ("name", "old"),
    [
        (name, old)
        for name in ATTRIBUTIONS
        for old in ("> where is it?\n> Bob", "where is it?\nBob")
        if old.startswith(">") or name not in MARKED
    ],
)
def test_an_attribution_opens_history(name: str, old: str) -> None:
    line = ATTRIBUTIONS[name]
    found = said(f"It came today, thanks!\n\n{line}\n\n{old}\n", "", "Re: Order")
    assert found.new == "It came today, thanks!"
    assert "where is it?" in found.quoted


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_header_block_opens_history(block: str) -> None:
    found = said(f"It came today, thanks!\n\n{block}\n\nwhere is it?\n", "", "Re: Order")
    assert found.new == "It came today, thanks!"
    assert "where is it?" in found.quoted


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_in_a_forward_the_block_opens_content(block: str) -> None:
    found = said(f"Please see to this.\n\n{block}\n\nwhere is it?\n", "", "WG: Order")
    assert "where is it?" in found.new
    assert "Please see to this." in found.new
    assert found.quoted == ""
    assert found.forwarded is not None
    assert found.forwarded.sender.startswith("Bob")
    assert found.forwarded.text == "where is it?"


@pytest.mark.parametrize(
    "line",
    [
        "---------- Forwarded message ---------",
        "-------- Weitergeleitete Nachricht --------",
        "---------- Message transféré ---------",
        "---------- Mensaje reenviado ---------",
        "---------- Messaggio inoltrato ---------",
        "---------- Doorgestuurd bericht ---------",
        "---------- Mensagem encaminhada ---------",
        "-------- Vidarebefordrat meddelande --------",
        "-------- Välitetty viesti --------",
        "---------- Przekazana wiadomość ---------",
        "---------- Přeposlaná zpráva ---------",
        "-------- Пересылаемое сообщение --------",
        "---------- 転送されたメッセージ ---------",
        "-------- 转发的邮件 --------",
        "Begin forwarded message:",
        "Anfang der weitergeleiteten Nachricht:",
        "Début du message réexpédié :",
    ],
)
def test_a_forwarded_mails_content_is_content(line: str) -> None:
    text = f"fyi\n\n{line}\nFrom: Cy <cy@z.example>\nDate: Mon, 4 May 2026\nSubject: Broken pump\nTo: Ann <ann@x.example>\n\nThe pump is broken.\n\nOn Sun, May 3, 2026 at 9:00 AM Bob <bob@x.example> wrote:\n> older"
    found = said(text, "", "Fwd: Broken pump")
    assert "The pump is broken." in found.new
    assert found.new.startswith("fyi")
    assert found.quoted == ""
    assert found.forwarded is not None
    assert (found.forwarded.sender, found.forwarded.subject) == ("Cy <cy@z.example>", "Broken pump")
    assert found.forwarded.date == "Mon, 4 May 2026"
    assert found.forwarded.text.startswith("The pump is broken.")


def test_a_reply_below_a_forward_is_a_reply() -> None:
    found = said(
        "thanks\n\nOn Mon, May 4, 2026 at 10:00 AM Bob <b@x.example> wrote:\n\n> ---------- Forwarded message ---------\n> From: Cy\n",
        "",
        "Re: Fwd: x",
    )
    assert (found.new, found.forwarded) == ("thanks", None)


def test_answers_between_quoted_lines_stay() -> None:
    text = "Hi Bob,\n\nOn Mon, May 4, 2026 at 10:00 AM Bob <b@x.example> wrote:\n> When?\n\nTomorrow.\n\n> Where?\nAt the station.\n> Bye\n"
    found = said(text, "", "Re: x")
    assert found.new == "Hi Bob,\n\nTomorrow.\n\nAt the station."
    assert "> When?" in found.quoted
    assert "> Where?" in found.quoted


def test_answers_below_the_quotation_stay() -> None:
    found = said("> When?\n\nTomorrow.\n", "", "Re: x")
    assert (found.new, found.quoted) == ("Tomorrow.", "> When?")


@pytest.mark.parametrize(
    "text",
    [
        "Hi, thanks.\n\nOn 3 May 2026 at 10:00 you wrote:\n\nThe parcel will come. It did not. Please help.",
        "On Monday I wrote:\n\nplease cancel. Nobody answered.",
        "From: the kitchen\nTo: the hall\nwe carried it all.",
        "My order was:\n- 1 pump\n- 2 hoses",
        "Subject: my broken pump\nIt does not run.",
        "We met on 4 May 2026, and you said:\nthe pump is free.",
        "The note from: Bob. Date: unknown.",
        "Please look at what Ann wrote:\nit is wrong.",
        "The manual is quoting me@example.org:\nthat is wrong.",
    ],
)
def test_what_only_looks_like_history_is_new(text: str) -> None:
    found = said(text, "", "Order")
    assert (found.new, found.quoted) == (text, "")


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my iPhone", "Von meinem iPhone gesendet", "Envoyé de mon iPhone", "Enviado desde mi iPhone", "Enviado do meu iPhone",
        "Inviato da iPhone", "Verstuurd vanaf mijn iPhone", "Verzonden vanaf mijn iPad", "Skickat från min iPhone", "Sendt fra min iPhone", "Lähetetty iPhonesta",
        "Wysłane z iPhone’a", "Отправлено с iPhone", "iPhoneから送信", "发自我的 iPhone", "나의 iPhone에서 보냄", "iPhone’umdan gönderildi",
        "Get Outlook for iOS<https://aka.ms/o0ukef>", "Gesendet von Outlook für Android", "Sent from Mail for Windows 10", "Gesendet mit der WEB.DE Mail App",
        "Diese Nachricht wurde von meinem Android-Gerät mit K-9 Mail gesendet.", "Odesláno z iPhonu", "Στάλθηκε από το iPhone μου", "Lähetetty Outlookista iOS:lle", "Küldve: iPhone", "Изпратено от моя iPhone", "Enviat des del meu iPhone",
        "Poslano z mojega iPhone", "Provenance : Courrier pour Windows", "BlackBerry from Vodafone",
    ],
)  # fmt: skip
def test_phone_signatures(line: str) -> None:
    found = said(f"See you.\n\n{line}\n\nOn Mon, May 4, 2026 at 10:00 AM Bob <b@x.example> wrote:\n> old", "", "Re: x")
    assert (found.new, found.signature) == ("See you.", line)


@pytest.mark.parametrize("line", ["-- ", "--"])
def test_signatures(line: str) -> None:
    found = said(f"See you.\n\nBest\nAnn\n{line}\nAnn Example\nExample Ltd", "", "x")
    assert (found.new, found.signature) == ("See you.\n\nBest\nAnn", "Ann Example\nExample Ltd")


def test_sent_from_in_a_sentence_is_no_signature() -> None:
    text = "Sent from my account were 100 €.\nPlease\nexplain\nhow\nthat\ncan\nbe."
    assert said(text, "", "x").new == text


@pytest.mark.parametrize(
    "text",
    [
        "> only quoted",
        "-- \nAnn",
        "Sent from my iPhone",
        "On Mon, May 4, 2026 at 10:00 AM Bob <b@x.example> wrote:\n> x",
    ],
)
def test_new_text_is_never_empty_when_text_is_not(text: str) -> None:
    assert said(text, "", "Re: x").new == text


QUOTES = {
    "gmail": '<div dir="ltr">It came.</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">On Mon, May 4, 2026 Bob wrote:<br></div><blockquote class="gmail_quote" style="margin:0"><p>old words</p></blockquote></div>',
    "gmail, old": '<div>It came.</div><div class="gmail_extra"><br><div class="gmail_quote">On Mon, May 4, 2026, Bob <span>&lt;<a href="mailto:b@x">b@x.example</a>&gt;</span> wrote:<br><blockquote class="gmail_quote">old words</blockquote></div></div>',
    "thunderbird": '<p>It came.</p><div class="moz-cite-prefix">Am 04.05.26 um 10:00 schrieb Bob:<br></div><blockquote type="cite" cite="mid:x"><p>old words</p></blockquote>',
    "apple": '<div>It came.</div><div><br><blockquote type="cite"><div>On 4 May 2026, at 10:00, Bob wrote:</div><br><div>old words</div></blockquote></div>',
    "apple, outside": '<div>It came.</div><div>On 4 May 2026, at 10:00, Bob &lt;b@x.example&gt; wrote:</div><blockquote type="cite">old words</blockquote>',
    "outlook": '<div class="WordSection1"><p class="MsoNormal">It came.</p><div><div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm"><p class="MsoNormal"><b>From:</b> Bob<br><b>Sent:</b> Monday<br><b>To:</b> Ann<br><b>Subject:</b> x</p></div></div><p class="MsoNormal">old words</p></div>',
    "outlook.com": '<div>It came.</div><div id="appendonsend"></div><hr><div id="divRplyFwdMsg" dir="ltr"><b>Von:</b> Bob<br><b>Gesendet:</b> Montag<br></div><div><p>old words</p></div>',
    "outlook, x_": '<div>It came.</div><div><div id="x_divRplyFwdMsg"><b>From:</b> Bob</div><div>old words</div></div>',
    "yahoo": '<div>It came.</div><div id="yahoo_quoted_1" class="yahoo_quoted"><div>On Monday Bob wrote:</div><div>old words</div></div>',
    "yahoo, new": '<div>It came.</div><div id="ydp1a2byahoo_quoted_44" class="ydp1a2byahoo_quoted"><div>On Monday, Bob wrote:</div><div>old words</div></div>',
    "proton": '<div>It came.</div><div class="protonmail_quote">------- Original Message -------<br><blockquote class="protonmail_quote">old words</blockquote></div>',
    "gmx": '<div>It came.</div><div name="quote" style="margin:10px"><div><b>Gesendet:</b> Montag</div><div>old words</div></div>',
    "zimbra": '<div>It came.</div><hr id="zwchr" data-marker="__DIVIDER__"><div data-marker="__HEADERS__"><b>From: </b>Bob</div><div>old words</div>',
    "hotmail": '<div>It came.</div><hr id="stopSpelling">Date: Mon<br>From: Bob<br>old words',
    "mail.ru": '<div>It came.</div><blockquote style="border-left:1px solid #0857A6; margin:10px;">Понедельник<div id="mailru">old words</div></blockquote>',
    "netease": '<div>It came.</div><div id="isReplyContent"><p>At 2026-05-04, Bob wrote:</p><blockquote id="isReplyContent">old words</blockquote></div>',
}  # fmt: skip


@pytest.mark.parametrize("html", QUOTES.values(), ids=QUOTES)
def test_history_is_cut_on_the_htmls_own_structure(html: str) -> None:
    found = told(mail(f"<html><body>{html}</body></html>", "Content-Type: text/html; charset=utf-8"))
    assert found["new_text"] == "It came."
    assert "old words" in found["quoted"]
    assert "old words" in found["text"]


def test_answers_in_the_htmls_quotation_stay() -> None:
    html = '<div class="gmail_quote"><div class="gmail_attr">On Mon, May 4, 2026 Bob wrote:<br></div><blockquote class="gmail_quote">When?</blockquote><div>Tomorrow.</div><blockquote class="gmail_quote">Where?</blockquote><div>Here.</div></div>'
    found = told(mail(html, "Content-Type: text/html; charset=utf-8"))
    assert found["new_text"].split() == ["Tomorrow.", "Here."]


def test_an_html_blockquote_of_the_writers_own_stays() -> None:
    found = told(
        mail("<p>Your terms say:</p><blockquote>thirty days</blockquote><p>Is that so?</p>", "Content-Type: text/html")
    )
    assert "thirty days" in found["new_text"]


def test_a_forward_in_html_is_content() -> None:
    html = '<div>fyi</div><div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------<br>From: <b>Cy</b> &lt;cy@z.example&gt;<br>Date: Mon, 4 May 2026<br>Subject: Pump<br>To: Ann<br></div><p>The pump is broken.</p></div>'
    found = told(mail(html, "Content-Type: text/html").replace(b"Subject: Order", b"Subject: Fwd: Pump"))
    assert "The pump is broken." in found["new_text"]
    assert found["forwarded"]["from"] == "Cy <cy@z.example>"
    assert found["forwarded"]["text"] == "The pump is broken."


def test_html_beside_plain_says_what_is_quoted() -> None:
    raw = multipart(
        "alternative",
        "Content-Type: text/plain\n\nIt came.\n\nฉันเขียน Bob\nold words",
        f"Content-Type: text/html\n\n{QUOTES['gmail']}",
    )
    assert told(raw)["new_text"] == "It came."


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            [
                "> q",
                "On Mon, May 4, 2026 Bob <b@x.example> wrote:",
                "From: a@b.example",
                "Sent: x",
                "To: y",
                "Subject: z",
                "",
                "words",
                "-- ",
                "Sent from my iPhone",
                "-----Original Message-----",
                "Begin forwarded message:",
                "____________",
                ">",
                "a:",
            ]
        ),
        max_size=30,
    ),
    st.sampled_from(["", "Re: x", "Fwd: x"]),
)
def test_whatever_the_lines_nothing_is_lost(lines: list[str], subject: str) -> None:
    text = "\n".join(lines).strip()
    found = said(text, "", subject)
    assert bool(found.new.strip()) == bool(text)
    for line in lines:
        if line.strip("> -_"):
            assert line.strip() in f"{found.new}\n{found.quoted}\n{found.signature}"


@settings(max_examples=100)
@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=30))
def test_any_text_and_any_html(text: str, html: str, subject: str) -> None:
    assert bool(said(text, f"<blockquote>{html}", subject).new.strip()) >= bool(text.strip())


@pytest.mark.parametrize(
    "line",
    [
        "##- Please type your reply above this line -##",
        "--- Bitte antworten Sie oberhalb dieser Zeile ---",
        "== Reply above this line ==",
    ],
)
def test_what_stands_below_a_helpdesks_line_is_history(line: str) -> None:
    found = said(f"Thanks!\n\n{line}\n\nYour request has been updated", "", "Re: x")
    assert found.new == "Thanks!"
    assert "updated" in found.quoted


def test_a_mail_that_was_forwarded_as_a_file() -> None:
    raw = multipart(
        "mixed",
        "Content-Type: text/plain\n\nsee attached",
        "Content-Type: message/rfc822\n\nFrom: Cy <cy@z.example>\nDate: Mon, 4 May 2026 10:00:00 +0200\nSubject: Pump\n\nThe pump is broken.\n",
    )
    found = told(raw.replace(b"Subject: Order", b"Subject: Fwd: Pump"))
    assert found["forwarded"] == {
        "from": "Cy <cy@z.example>",
        "date": "Mon, 4 May 2026 10:00:00 +0200",
        "subject": "Pump",
        "text": "The pump is broken.",
    }
    assert found["new_text"] == "see attached"
    assert told(raw)["forwarded"] is None, "an attached mail alone is no forward"


@pytest.mark.parametrize(
    "text",
    [
        "New message from your web site\n\nName: Ann\nEmail: ann@example.org\nDate: 2026-05-04\nMessage:\nI want to cancel my contract.",
        "Kontaktformular\n\nName: Anna\nE-Mail: anna@example.org\nBestelldatum: 04.05.2026\nNachricht:\nIch kündige.",
        "Hello,\nmy login is ann@example.org since 2019; the error is:\nE42 cannot log in\nHow do I fix this?",
        "Hello,\nsince 10:15 I (ann@example.org) see this error:\nE42 cannot log in",
        "Thank you!\nplease send the invoice of 12.05.2026 to bob@firma.example instead. His address is:\nMusterweg 1\nAnd please cancel my subscription.",
        "Hi,\nI wrote to sales@shop.example on 3 May 2026 and said:\nwhere is my order 1234?\nNobody answered.",
        "Dear team,\n\nOn 4 May 2026 at 10:15 your agent wrote:\nwe refund you\nYou did not!",
        "Hallo,\nAm 03.05.2026 um 10:15 Uhr schrieb ich Ihnen Folgendes:\nIch will kündigen.",
        "I want to travel as follows:\nFrom: Berlin\nTo: Hamburg\nDate: 12 May 2026\nPassengers: 2\nPlease make an offer, and cancel my other booking.",
        "Meine Reise:\nVon: Berlin\nAn: Hamburg\nDatum: 12.5.2026\nBitte Angebot.",
        "Hallo,\nGesendet von DHL am Montag ist mein Paket bis heute nicht da. Bitte Geld zurück.",
        "Hello,\nSent with DHL last week, my parcel is lost.",
        "Bonjour,\nenvoyé depuis lundi, mon colis est perdu. Remboursez-moi.",
        "Hi\nEnviado desde Madrid, el paquete se perdió. ¿Reembolso?",
        "Hello\n--\nI have a problem with my order,\nit did not arrive.\nPlease help me now.",
        "See you.\n\nSent from my iPhone\n\nPS: please cancel my order.",
    ],
    ids=[
        "contact form", "contact form, de", "my login is", "since 10:15", "his address is", "I wrote", "your agent wrote",
        "schrieb ich", "travel", "Reise", "sent by DHL", "sent with DHL", "envoyé depuis", "enviado desde", "dashes below a greeting",
        "words below the phone's signature",
    ],
)  # fmt: skip
def test_what_a_customer_writes_is_not_cut_as_history_or_signature(text: str) -> None:
    found = said(text, "", "Order")
    assert (found.new, found.quoted, found.signature) == (text, "", "")


def test_an_address_a_day_and_a_colon_above_quoted_lines_is_an_attribution_in_any_language() -> None:
    line = "Ni Bob <bob@x.example> lia la 2026-05-04 je 10.00:"
    assert said(f"Dankon!\n\n{line}\n> malnova", "", "Re: x").new == "Dankon!"


APPLE = "> Begin forwarded message:\n> \n> From: Joe <joe@x.example>\n> Subject: broken\n> Date: 4 May 2026 at 10:15:00 CEST\n> To: Ann <ann@example.org>\n> \n> My lamp is broken."


def test_the_quoted_form_in_which_apple_mail_forwards_is_a_forward() -> None:
    found = said(f"Please help my friend.\n\n{APPLE}\n", "", "Fwd: broken")
    assert "My lamp is broken." in found.new
    assert "> " not in found.new
    assert found.quoted == ""
    assert found.forwarded is not None
    assert (found.forwarded.sender, found.forwarded.subject) == ("Joe <joe@x.example>", "broken")
    assert found.forwarded.text == "My lamp is broken."
    assert said(f"Thanks.\n\n{APPLE}\n", "", "Re: Fwd: broken").forwarded is None


@pytest.mark.parametrize(
    ("subject", "language", "forwards"),
    [("YNT: x", "tr", False), ("VS: x", "fi", False), ("VS: x", "da", True), ("ПЕР: x", "ru", True), ("העברה: x", "en", True), ("Redirecţionare: x", "en", True)],
)  # fmt: skip
def test_what_a_subject_says_of_the_mail(subject: str, language: str, forwards: bool) -> None:
    found = said(f"See this.\n\n{BLOCKS[language]}\n\nwhere is it?\n", "", subject)
    assert (found.forwarded is not None) == forwards
    assert ("where is it?" in found.new) == forwards


@pytest.mark.parametrize("line", ["a " * 100_000, "sent from my " + "x " * 100_000, "<" * 100_000, "On 2026 " * 30_000])
def test_one_line_without_end_is_read_in_its_own_time(line: str) -> None:
    assert said(f"Hello,\n{line}\n--\n{line}", "", "Re: x").new.startswith("Hello,")


SAID_BY_CUSTOMERS = {
    "what a driver wrote": "Am 24.11.2026 um 10:15 schrieb der Fahrer:\nNiemand da. Das stimmt nicht.",
    "what a carrier wrote": "On 24/11/2026 10:15 DHL wrote:\nparcel lost",
    "what a colleague wrote": "Am 24.11.2026 hat Ihre Kollegin Frau Meier mir geschrieben:\nSie bekommen 20 EUR.",
    "what a colleague with an address wrote": "Your colleague Max <max@shop.example> wrote on 24.11.2026 10:15:\nYou get it.",
    "what was said": "At 10:15 on 24.11.2026 max@shop.example said:\nIt is refunded.",
    "an address to deliver to": "Please deliver on 28.11.2026 10:00 to (bob@x.example):\nMain street 5",
    "somebody to call": "Termin am 28.11.2026 um 10:00 Uhr, Kontakt <bob@x.example>:\nHauptstraße 5",
    "points about a hotline": "- keine Antwort über Ihre Hotline bekommen\n- Paket beschädigt",
    "an account online": "(I had no reply online, see above in my online account)\nPlease cancel",
    "a line of dashes": "--\nOrder 4711 is still missing, please send it again.",
    "a question below dashes": "--\nAnn\nCan you send it again?",
    "sent by mail": "Sent via email: the invoice shows the wrong amount",
    "sent from work": "Sent from my work email last week, no answer\nPlease help",
    "a form": "Gesendet mit E-Mail am Montag, Bestellung 4711\nDanke",
    "a fruit": "Blackberry from your shop 4711 is rotten",
    "below a phone's line": "Sent from my iPhone\nby the way the other lamp is broken too",
    "sent in Russian": "Отправлено с почты: заказ 4711\nСпасибо",
}


@pytest.mark.parametrize("words", SAID_BY_CUSTOMERS.values(), ids=SAID_BY_CUSTOMERS)
def test_what_customers_say_is_no_history_and_no_signature(words: str) -> None:
    """It was cut, and a rule for "thank you" closed what asked for something."""
    found = said(f"Thank you!\n\n{words}\n", "", "Re: Order")
    assert found.new == f"Thank you!\n\n{words}"


@pytest.mark.parametrize(
    "line",
    [
        "On 24 Nov 2026 at 10:15, Bob Smith wrote:",
        "Am 24.11.2026 um 10:15 schrieb Bob Smith:",
        "Le 24/11/2026 à 10:15, Bob Smith a écrit :",
        "Op 24-11-2026 om 10:15 schreef Bob Smith:",
    ],
)
def test_a_whole_name_and_a_moment_open_history_without_marks(line: str) -> None:
    assert said(f"It came today.\n\n{line}\nwhere is it?\n", "", "Re: Order").new == "It came today."
