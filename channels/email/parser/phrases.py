# ruff: noqa: E501 - tables of phrases read better unbroken
"""What mail programs write between a new text and an old one, in the languages of the world. Data, and tests of one line.

Every test looks at one short line, so a text costs time in proportion to its length.
"""

import re

LINE = 400
"""Longer lines are nobody's attribution."""

_VERBS = (
    r"wrote|writes|said|schrieb(?:en)?(?: am [^:]{0,60})?|hat (?:am )?[^:]{0,80}geschrieben|a [ée]crit|[ée]crivait|escribi[óo]|ha scritto|scrisse|"
    r"schreef|skrev|escreveu|kirjoitti|napisał\(?a?\)?|pisze|napsal(?:a|\(a\))?|nap[ií]sal\(?a?\)?|[íi]rta(?: \(időpont[^)]{0,60}\))?|a scris|yazdı|"
    r"şunu yazdı|написала?|пишет|пише|έγραψε|написа|(?:je )?napisao(?:/la)?(?: je)?|je napisal\(?a?\)?|rašė|rakstīja|kirjutas|"
    r"đã viết|menulis|skrifaði|va escriure|idatzi du|"
    r"写道|寫道|的邮件|さんは書きました|のメール|님이 작성|작성|เขียน(?:ว่า)?|كتب|كتبت|כתב/ה|כתבה?|נכתב על ידי|מאת"
)
_WHO = r"[^\s:<>@,.;!?]{1,30} "
_MIDDLE = re.compile(
    r"(?i)\b(?:schrieb|skrev|schreef|wrote|a [ée]crit|escribi[óo]|kirjoitti|kirjutas|napsal|missatge de)\b (?:[^:]|\d:\d){1,120}[:：]$"
)
_QUOTING = re.compile(
    rf"(?i)(?:quoting|zitat von|citando|citation de|citerar|citace) (?:{_WHO}){{0,6}}<?[^\s<>@]{{1,100}}@[^\s<>@:]{{1,200}}>?\s*:$"
)
"""Horde."""
_NAMED_ONLY = re.compile(
    rf"(?i)(?:{_WHO}){{1,4}}(?:wrote|writes|schrieb|schreibt|a écrit|escribió|ha scritto|schreef|skrev)\s*[:：]$"
)
"""`Bob Smith wrote:` says no day and no address, so it counts above quoted lines only."""
_BETWEEN_DASHES = re.compile(
    r"(?i)-{2,10} (?:on|am|le|el|il|op|den|em) .{8,300} (?:wrote|schrieb|a écrit|escribió|ha scritto|schreef|skrev|escreveu) -{2,10}$"
)
"""Zoho."""
_MARKS = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Marks for the direction of writing."""
_ENDS = re.compile(rf"(?:{_VERBS})\s*[\u200e\u200f]?\s*[:：]\s*$", re.IGNORECASE)
_STARTS = re.compile(
    r"(?i)\s*(?:on|am|le|el|em|il|il giorno|op|den|dne|dnia|w dniu|date|à la date|a|no dia|på|på vegne|ma|la|в|во|ср|пн|вт|чт|пт|сб|вс|"
    r"στις|tarihinde|vào|pada|ב|في|在|于|於|\d{1,4}[-./年 ])\b"
)
_ADDRESS = re.compile(r"[^\s<>@]{1,100}@[^\s<>@]{1,200}")
_TIME = re.compile(r"\d{1,2}[:.hH時时시]\s?\d{2}")
_YEAR = re.compile(r"(?:19|20)\d\d|\d{1,2}[./-]\d{1,2}[./-]\d{2}")
_QUOTED = re.compile(r"[ \t]{0,3}(?:[>＞›»]|&gt;)")
_SEPARATOR_ENDS = re.compile(r"^[\s>]*[-_*=—–]{2,}\s*|\s*[-_*=—–]{2,}\s*$")
_ABOVE = re.compile(
    r"(?i)\b(?:reply|antwort\w*|r[ée]pon\w*|respond\w*|rispost\w*|antwoord\w*|svar\w*)\b.{0,40}\b(?:above|oberhalb|[üu]ber|au-dessus|encima|acima|sopra|boven|ovan\w*|over)\b.{0,30}\b(?:line|zeile|linie|ligne|l[ií]n[eh]a|riga|lijn|linj[ea]|regel)"
)
_SEPARATED = re.compile(r"[\s>]*[-_*=#~—–]{2,}|.*[-_*=#~—–]{2,}\s*$")
"""Drawn as a line, and no point of a list."""
_TO_YOU = re.compile(r"(?i)\b(?:you|du|sie|ihr|vous|tu|usted|lei|je|u)\s+[^\s:]{2,20}(?:\s+[^\s:]{2,20})?\s*[:：]$")
"""People write so too, and go on with their own words."""
_OWN_WORDS = re.compile(
    r"(?i)\b(?:your|our|my|his|her|ihr|euer|eure|unser|mein|votre|notre|vuestro|nuestro|vostro|nostro|uw|jullie|mijn|onze)\w{0,3}\s+[^\s:]{2,20}(?:\s+[^\s:]{2,20}){0,3}\s*[:：]$|"
    r"\b(?:i|we|ich|wir|je|nous|yo|io|ik|wij)\s+[^\s:]{2,20}(?:\s+[^\s:]{1,20}){0,4}\s*[:：]$"
)
"""`your agent wrote:`, `schrieb ich Ihnen Folgendes:`"""
_FIRST_PERSON = re.compile(r"(?i)(?:i|we|ich|wir|je|nous|yo|io|ik|wij)\s")
_NAMED_LAST = re.compile(r"<\s*(?:mailto:)?[^\s<>@]{1,100}@[^\s<>@]{1,200}>\s*[:：]$")
_DAY_FIRST = re.compile(r"[^\W\d]{0,4}\W{0,3}\d|[^a-zA-ZÀ-ɏ\d]{0,40}\d")
_SAID = re.compile(r"(?i)\bsaid\s*:$")
_SOMEBODYS = re.compile(
    r"(?i)^(?:your|our|my|ihre?|unsere?|meine?|votre|notre|mon|su|nuestro|il vostro|il nostro|uw|jullie|onze)\s"
)
_POINTS = ",;:：\"'«»“”()"
_DASHES = tuple("-_*=—–")
_COLONS = (":", "：")
_RULE = re.compile(r"\s*[_\-=*—]{10,}\s*$")

_ORIGINAL = {
    "original", "original message", "original appointment", "original e-mail", "original email", "reply message", "ursprüngliche nachricht",
    "ursprungliche nachricht", "originalnachricht", "original-nachricht", "ursprünglicher termin", "message d'origine",
    "message d’origine", "message original", "message initial", "mensaje original", "mensagem original", "messaggio originale",
    "messaggio originario", "oorspronkelijk bericht", "origineel bericht", "ursprungligt meddelande", "originalmeddelande",
    "oprindelig meddelelse", "original meddelelse", "opprinnelig melding", "alkuperäinen viesti", "oryginalna wiadomość",
    "wiadomość oryginalna", "původní zpráva", "původní e-mail", "pôvodná správa", "eredeti üzenet", "mesajul original", "mesaj original",
    "orijinal mesaj", "özgün ileti", "исходное сообщение", "оригинальное сообщение", "вихідне повідомлення", "оригінальне повідомлення",
    "αρχικό μήνυμα", "元のメッセージ", "オリジナル メッセージ", "原始邮件", "邮件原件", "原始郵件", "원본 메시지", "원본 메일", "الرسالة الأصلية",
    "הודעה מקורית", "thư gốc", "pesan asli", "ข้อความต้นฉบับ", "missatge original", "izvorna poruka",
}  # fmt: skip
_FORWARDED = {
    "forwarded message", "forwarded by", "forwarded mail", "forwarded email", "begin forwarded message", "start of forwarded message",
    "weitergeleitete nachricht", "weitergeleitet von", "anfang der weitergeleiteten nachricht", "anfang der weitergeleiteten e-mail",
    "message transféré", "message transfere", "transféré par", "début du message transféré", "début du message réexpédié",
    "mensaje reenviado", "inicio del mensaje reenviado", "reenviado por", "messaggio inoltrato", "inizio messaggio inoltrato",
    "inoltrato da", "doorgestuurd bericht", "begin doorgestuurd bericht", "doorgestuurd door", "mensagem encaminhada",
    "mensagem reencaminhada", "início da mensagem encaminhada", "início da mensagem reencaminhada", "encaminhado por",
    "vidarebefordrat meddelande", "vidarebefordrat brev", "början på vidarebefordrat meddelande", "videresendt meddelelse",
    "videresendt besked", "start på videresendt besked", "videresendt melding", "begynnelse på videresendt melding", "videresendt epost",
    "välitetty viesti", "edelleenlähetetty viesti", "välitetty viesti alkaa", "wiadomość przekazana", "przekazana wiadomość",
    "treść przekazanej wiadomości", "początek przekazywanej wiadomości", "přeposlaná zpráva", "začátek přeposlané zprávy",
    "přeposlaný e-mail", "preposlaná správa", "továbbított üzenet", "továbbított levél", "mesaj redirecționat", "mesaj redirectionat",
    "mesajul redirecționat", "iletilen mesaj", "yönlendirilmiş ileti", "iletilmiş mesaj", "пересылаемое сообщение",
    "пересланное сообщение", "перенаправленное сообщение", "начало переадресованного сообщения", "начало пересылаемого сообщения",
    "переслане повідомлення", "перенаправлене повідомлення", "προωθημένο μήνυμα", "μήνυμα που προωθήθηκε", "転送されたメッセージ",
    "転送メッセージ", "転送メール", "以下转发的邮件", "转发的邮件", "转发邮件信息", "已转发邮件", "被转发邮件信息", "轉寄的郵件", "轉寄郵件",
    "转发邮件", "전달된 메시지", "전달된 메일", "전달된 이메일", "رسالة معاد توجيهها", "הודעה שהועברה", "thư được chuyển tiếp", "tin nhắn chuyển tiếp",
    "pesan terusan", "pesan yang diteruskan", "ข้อความที่ส่งต่อ", "missatge reenviat", "proslijeđena poruka",
}  # fmt: skip
_ROLES = {
    "from": "from von de da van från fra frá od lähettäjä nadawca feladó expeditor de la kimden gönderen от від кого από 差出人 发件人 寄件者 寄件人 보낸사람 보낸이 발신 from(送信者) من מאת từ dari จาก remetente mittente expéditeur remitente afzender absender отправитель šalje saatja nuo",
    "date": "date sent odoslané poslano изпратено дата đãgửi تمالإرسال 傳送時間 gesendet datum envoyé enviado envoyée inviato verzonden skickat sendt dato lähetetty päivämäärä päiväys wysłano data wysłane odesláno elküldve dátum trimis tarih gönderildi gönderilme отправлено дата надіслано ημερομηνία στάλθηκε 送信日時 日付 日時 送信済み 发送时间 日期 时间 寄件日期 傳送日期 보낸날짜 날짜 보냄 보낸시간 التاريخ תאריך נשלח ngày tanggal dikirim วันที่ ส่ง saadetud išsiųsta nosūtīts enviat fecha data: enviada invio",
    "to": "to an prima à a aan till til vastaanottaja do komu címzett către kime alıcı кому до προς 宛先 收件人 收件者 받는사람 받는이 수신 إلى אל đến tới kepada ถึง para per destinataire destinatario empfänger za vastaanottajat naar prima kam adressaat",
    "cc": "cc kopie copie copia kopia kopi kopio dw másolat копия копія κοιν 抄送 副本 참조 bcc ccn",
    "subject": "subject betreff predmet относно naslov 主旨 chủđề objet asunto assunto oggetto onderwerp ämne emne aihe temat předmět predmet tárgy subiect konu тема θέμα 件名 主题 主題 제목 الموضوع נושא chủđề chủ subjek perihal เรื่อง zadeva teema tēma assumpte re",
    "reply-to": "reply-to antwort antworten",
}  # fmt: skip
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words.split()}
_FIELD = re.compile(r"[\s>*|]{0,8}([^:：]{1,30}?)\s*[*]?\s*[:：]\s*[*]?\s*(.*)$")
_PHONE = re.compile(
    r"(?i)^\W{0,4}(?:sent (?:from|via|with|using) (?:my |the )?\S|get outlook for|(?:von|mit) mein\w+ .{1,60} gesendet|gesendet (?:von|mit|vom)\b|diese nachricht wurde von meinem|"
    r"envoy[ée] (?:de(?:puis)? |à partir de |avec )|t[ée]l[ée]charge[rz] outlook|obtenez outlook|outlook für |holen sie sich outlook|"
    r"enviado (?:desde|do|a partir d|con|através|via)\b|obtener outlook|obter o outlook|inviato da(?:l|lla|l mio)?\b|scarica outlook|(?:verzonden|verstuurd) (?:vanaf|met|via|vanuit)|outlook voor |"
    r"skickat från|hämta outlook|sendt fra|få outlook|hent outlook|lähetetty .{0,20}(?:outlook|iphone|android|laitteest|puhelim|samsung)|hanki outlook|wysłan[eo] (?:z|za pomocą)|pobierz program outlook|odesláno z|odoslané z|"
    r"(?:az )?iphone-?omról küldve|trimis (?:de pe|din|de la)|iphone['’]?umdan gönderildi|.{1,40}(?:tarafından|cihazımdan|'dan) gönderildi|отправлено (?:с|из|от)\b|надіслано (?:з|із)\b|(?:στάλθηκε|αποστολή|εστάλη) από|"
    r".{1,30}から送信|发自我的|發自我的|来自我的|從我的 .{1,30} 傳送|傳送自我的|나의 .{1,30}에서 보냄|.{1,30}에서 보냄|أُ?رسلت من|נשלח מה?-?|được gửi từ|gửi từ .{1,20} của tôi|dikirim dari|ส่งจาก|küldve: |изпратено от|enviat des d|poslano (?:s|z|sa) |provenance ?: courrier|blackberry from \S+$)"
)

_PHONE_WORDS = 14
_LINKS = re.compile(r"(?i)<?https?:[^\s>]{0,120}>?|^(?:küldve|provenance) ?:")
_MORE = re.compile(r"[,;!?。，！？]\s?\S|[:：]\s|\d{4}|\b(?:is|was|were|are|ist|war|sind|est|sont|es|fue|è)\b")
"""More than where a mail was written: people begin a sentence so too."""
_DEVICE = re.compile(
    r"(?i)iphon|ipad|ipod|\bmac(?:book|os)?\b|apple|android|samsung|galaxy|huawei|xiaomi|redmi|oneplus|pixel|nokia|motorola|\bmoto\b|\blg\b|\bhtc\b|sony|xperia|\boppo\b|honor|blackberry|"
    r"windows|outlook|\bmail\b|e-?mail\b|\w+mail\b|yahoo|\baol\b|\bgmx\b|web\.de|proton|thunderbird|k-9|fairemail|\bspark\b|\bapp\b|workspace|webmail|мобильн|почт|яндекс|"
    r"phone|handy|smartphone|\bmobil\w*|móvil|celular|t[ée]l[ée]phone|telefon|puhelim|laitte|\btablet|\bger[äa]t|device|携帯|手机|手機|电话|휴대|스마트폰|هاتف|điện thoại|โทรศัพท์|ponsel"
)
_SENTENCE = re.compile(r"[,;!?。，！？]|[.]\s|\d|\b(?:is|was|were|are|ist|war|sind|wurde|est|sont|es|fue|è)\b")


def is_quoted(line: str) -> bool:
    return line[:1] == ">" or (not line[:1].isalnum() and _QUOTED.match(line) is not None)


def is_rule(line: str) -> bool:
    return not line[:1].isalnum() and _RULE.match(line) is not None


def is_attribution(text: str) -> bool:
    """`On 3 May 2024, Ann <ann@x.org> wrote:`, in one line or wrapped."""
    if len(text) > 2 * LINE:
        return False
    line = " ".join(_MARKS.sub("", text).split())
    if not line or len(line) > LINE or line[-1] not in ":：":
        return False
    if _MIDDLE.search(line) and (_TIME.search(line) or _YEAR.search(line)):
        return True
    if _QUOTING.match(line) or (_NAMED_ONLY.match(line) and not _OWN_WORDS.search(line) and not _TO_YOU.search(line)):
        return True
    if _ENDS.search(line):
        return bool(_ADDRESS.search(line) or _TIME.search(line) or _YEAR.search(line) or _STARTS.match(line))
    # Any language: somebody's address and a day or a time, and then a colon.
    return bool(_ADDRESS.search(line) and (_TIME.search(line) or _YEAR.search(line)))


def opens_history(text: str) -> bool:
    """An attribution that needs no quote marks behind it to be believed. People write an address, a day and a colon too,
    and what a driver wrote: so it takes an address beside the word for writing, or a whole name; or, in the languages
    whose mailers have no such word, the day first and the address last.
    """
    line = " ".join(_MARKS.sub("", text).split())
    if not is_attribution(line) or _FIRST_PERSON.match(line):
        return False
    time, day = _TIME.search(line), _YEAR.search(line)
    verb = _ENDS.search(line) or _MIDDLE.search(line)
    if verb is None:
        return bool(_DAY_FIRST.match(line) and _NAMED_LAST.search(line) and time and day)
    if _SAID.search(line) or _SOMEBODYS.search(line):
        return False
    if _ADDRESS.search(line):
        return True
    return bool(time and day and _is_name_beside(line, verb))


def _is_name_beside(line: str, verb: re.Match[str]) -> bool:
    """Whether the two words before or behind the verb are capitals, as in `Bob Smith wrote:`."""
    before = [word.strip(_POINTS) for word in line[: verb.start()].split()[-2:]]
    behind = [word.strip(_POINTS) for word in re.split(r"\s+", verb[0])[1:3]]
    return any(
        len(words) == 2 and all(word[:1].isupper() for word in words) and not _SOMEBODYS.match(" ".join(words))
        for words in (before, behind)
    )


def ends_like_one(line: str) -> bool:
    """Whether an attribution may end here."""
    return _MARKS.sub("", line[-20:])[-1:] in (":", "：")


def could_open(line: str) -> bool:
    """Whether a wrapped attribution may begin here."""
    if not line or len(line) > LINE:
        return False
    return any(
        each is not None
        for each in (_STARTS.match(line), _ADDRESS.search(line), _YEAR.search(line), _NAMED_ONLY.match(line.rstrip()))
    )


def _between(line: str) -> str:
    if len(line) > 120:
        return ""
    return _SEPARATOR_ENDS.sub("", _SEPARATOR_ENDS.sub("", line)).strip(" \t:：>*").lower()


def is_original(line: str) -> bool:
    """`-----Original Message-----`, `##- Please type your reply above this line -##`"""
    if len(line) <= 120 and _SEPARATED.match(line) and _ABOVE.search(line):
        return True
    if line[:2] == "--" and len(line) <= LINE and _BETWEEN_DASHES.match(line.rstrip()):
        return True
    return len(line) <= 120 and line.lstrip(" >*")[:1] in "-_*=—–" and _between(line) in _ORIGINAL


def is_forward(line: str) -> bool:
    """`---------- Forwarded message ---------`, `Begin forwarded message:`"""
    if len(line) > 160 or (line.strip(" >*")[:1] not in _DASHES and line.rstrip()[-1:] not in _COLONS):
        return False
    words = _between(line)
    if words in _FORWARDED:
        return line.strip(" >*")[:1] in "-_*=—–" or line.rstrip()[-1:] in (":", "：")
    first = words.split(" - ")[0]
    return line.lstrip()[:2] == "--" and any(words.startswith(each) for each in ("forwarded by", "weitergeleitet von", "forwarded message", "inoltrato da", "transféré par", "reenviado por", "encaminhado por", "doorgestuurd door")) and bool(first)  # fmt: skip


def field_of(line: str) -> tuple[str, str] | None:
    """(role, value) of a line in a quoted header block: `*From:* Ann` → ("from", "Ann")."""
    if len(line) > 2000:
        return None
    match = _FIELD.match(line) if ":" in line or "：" in line else None
    if match is None:
        return None
    word = match[1].strip("* \t").lower().replace(" ", "").replace("\u00a0", "")
    role = _ROLE_OF.get(word) or _ROLE_OF.get(
        match[1].strip("* \t").lower().split(" ")[0] if len(match[1].split()) <= 3 else ""
    )
    return (role, match[2].strip("* \t")) if role else None


def is_phone_signature(line: str, *, last: bool) -> bool:
    """`Sent from my iPhone`: short, and it names a device or a program, or it is the `last` line and no sentence."""
    if len(line) > 140 or not _PHONE.match(line) or line.rstrip()[-1:] in "?？":
        return False
    words = len(line.split())
    if _DEVICE.search(line):
        return words <= _PHONE_WORDS and not _MORE.search(_LINKS.sub("", line))
    return last and words <= _PHONE_WORDS // 2 and not _SENTENCE.search(line.strip())
