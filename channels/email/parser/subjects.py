# ruff: noqa: E501 - tables of phrases read better unbroken
"""Subjects and sentences that machines write, in the languages of the world. Data, and tests of one string."""

import re

CHARS = 300

_AUTO_REPLY = re.compile(
    r"(?i)^\s*(?:\[[^\]]{1,40}\]\s*)?(?:"
    r"auto(?:matic|mated|matical)?[ -]?(?:reply|response|responder|generated reply|answer)\b|autoreply\b|autoresponse\b|autoresponder\b|auto\s?[:：]|"
    r"out[ -]of[ -](?:the[ -])?office\b(?!\s+(?:hours|space|furniture|equipment|supplies|work|phone))|ooo\s*[:：]|i am (?:currently )?out of (?:the )?office|i'm out of (?:the )?office|away from (?:the |my )?(?:office|desk|mail)|"
    r"(?:on )?(?:vacation|annual leave|holiday)(?: (?:reply|response|notice|message|auto))|"
    r"abwesenheits?(?:notiz|meldung|nachricht|assistent|benachrichtigung)|abwesenheit\s*[:：]|abwesend\s*[:：]|urlaub\s*[:：]|automatische? (?:antwort|r(?:ü|ue)ckantwort|nachricht|e-?mail)|(?:ich bin )?(?:nicht im b(?:ü|ue)ro|au(?:ß|ss)er haus)|autom\. antwort|urlaubsmeldung|"
    r"r[ée]ponse automatique|message (?:automatique )?d['’]absence|absence du bureau|absent(?:e)? du bureau|notification d['’]absence|"
    r"respuesta autom[áa]tica|fuera de (?:la )?oficina|ausente de la oficina|mensaje de ausencia|contestaci[óo]n autom[áa]tica|"
    r"risposta automatica|fuori (?:sede|ufficio)|assente(?:\s+dall['’]ufficio)?\s*[:：]|messaggio di assenza|"
    r"automatisch antwoord|automatische reactie|afwezigheids?(?:bericht|assistent|melding)|niet op kantoor|"
    r"resposta autom[áa]tica|fora do escrit[óo]rio|mensagem de aus[êe]ncia|aus[êe]ncia tempor[áa]ria|"
    r"autosvar|automatiskt svar|fr[åa]nvaromeddelande|fr[åa]nvarande|automatisk svar|automatisk besvarelse|frav[æe]r(?:sbesked|smelding|sassistent)|ikke p[åa] kontoret|ikke til stede|"
    r"automaattinen vastaus|poissaoloviesti|automaatvastus|autom[āa]tisk[āa] atbilde|sj[áa]lfvirkt svar|resposta autom[àa]tica|erantzun automatikoa|automatinis atsakymas|"
    r"odpowied[źz] automatyczna|automatyczna odpowied[źz]|autoodpowied[źz]|poza biurem|nieobecno[śs][ćc]|"
    r"automatick[áaée] odpove[dď][ei]?|automatick[áa] odpov[ěe][ďdď]?|mimo kancel[áa][řr]|automatikus v[áa]lasz|h[áa]zon k[íi]v[üu]l|r[ăa]spuns automat|mesaj automat|"
    r"otomatik (?:yan[ıi]t|cevap)|ofis d[ıi][şs][ıi]nda|автоматический ответ|автоответ|вне офиса|отсутствие на рабочем месте|автоматична відповідь|автоматичен отговор|"
    r"αυτόματη απάντηση|εκτός γραφείου|samodejni odgovor|automatski odgovor|自動返信|自動応答|不在通知|自動返答|不在のお知らせ|自动回复|自動回覆|自動回復|外出自动回复|자동 ?응답|자동 ?회신|부재중|"
    r"رد تلقائي|تشغيل الرد|תשובה אוטומטית|מענה אוטומטי|tr[ảa] l[ờo]i t[ựu] đ[ộo]ng|t[ựu] đ[ộo]ng tr[ảa] l[ờo]i|balasan otomatis|jawaban otomatis|ตอบกลับอัตโนมัติ|"
    r"(?:afwezig|absence|ausencia|assenza|vacation|away)\s*[:：]|absent\s+re\s*:|(?:ich )?bin im urlaub|krankheitsbedingt abwesend|i['’]?m away (?:until|from)|jag är inte på kontoret)"
)
_PLAIN_WORDS = re.compile(
    r"(?i)^\s*(?:\[[^\]]{1,40}\]\s*)?(?:auto\s?[:：]|ooo\b|i am\b|i['’]?m\b|away\b|(?:on )?(?:vacation|annual leave|holiday)|abwesen(?:heit|d)\s*[:：]|urlaub|(?:ich )?bin\b|ich\b|nicht im|au(?:ß|ss)er haus|krankheit|"
    r"fuera|ausen[ct]|fuori|assen[tz]|niet op|afwezig\s*[:：]|fora do|absen[ct]e?\s*(?:[:：]|re\b)|fr[åa]nvarande|ikke\b|jag\b|poza|nieobec|mimo|h[áa]zon|ofis|вне|отсутствие|εκτός|不在の)"
)
"""What people may begin a subject with too."""
_FORM_ENDS = re.compile(
    r"(?i)(?:[ -]*(?:auto-?reply|automatic reply|reply|message|notification|notice))?\s*(?:[:：(\]]|$)"
)
_REPLY_WITHIN = re.compile(r"(?i)[:：]\s*(?:re|aw|antw|sv|odp|ynt|回复|回覆|答复)\s*[:：]")
_NOTES_FORM = re.compile(r"(?i)^\s*auto: .{1,80} (?:is out of (?:the )?office|ist außer haus|est absent)")
_BOUNCE = re.compile(
    r"(?i)^\s*(?:undeliver(?:able|ed)\b|undelivered mail returned|delivery (?:status notification|failure|failed|notification|report|has failed|problem|error|incomplete|delayed)|"
    r"mail (?:delivery|system) (?:failed|failure|error|problem|subsystem|status)|mail delivery (?:warning|failed|system|subsystem)|mail failure|mail could not be delivered|message (?:could not be|not|was not|delivery) deliver|"
    r"returned mail|returned to sender|failure notice|failure delivery|failed (?:mail )?delivery|email delivery failure|non[ -]?delivery (?:report|notification)|nondeliverable|"
    r"warning: (?:could not send|message .{1,80}delayed)|delayed (?:mail|delivery)|message delayed|rejected(?: mail)?:|could not be delivered|your message (?:could not|was not|wasn't|to .{1,200} (?:couldn't|could not|was) )|"
    r"\*?\*?message you sent blocked|dsn:|ndn:|unzustellbar|zustellung fehlgeschlagen|nicht zustellbar|unzustellbare|zustell(?:ungs)?(?:fehler|benachrichtigung)|e-?mail konnte nicht|nachricht nicht zugestellt|"
    r"non remis|[ée]chec (?:de (?:la )?)?(?:remise|distribution|livraison)|courrier non d[ée]livr[ée]|message non (?:remis|distribu)|avis de non[- ]remise|"
    r"no se puede entregar|no entregado|error de entrega|devuelto|entrega fallida|correo devuelto|mancato recapito|impossibile recapitare|messaggio non (?:recapitato|consegnato)|non recapitabile|"
    r"onbestelbaar|niet (?:bezorgd|afgeleverd|bestelbaar)|n[ãa]o entregue|n[ãa]o foi poss[íi]vel entregar|falha na entrega|devolu[çc][ãa]o|"
    r"kunde inte levereras|oleverbart|olevererat|kan ikke leveres|ikke levert|ulevérbar|uleverbar|ej leverera|toimittamaton|ei voitu toimittaa|"
    r"niedostarczona|nie (?:mo[żz]na )?dostarcz|zwrot|nedoru[čc]iteln|nedoru[čc]en|k[ée]zbes[íi]thetetlen|nelivrabil|iletilemedi|teslim edilemedi|"
    r"не ?доставлен|ваше сообщение не доставлено|недоставленн|невозможно доставить|не вдалося доставити|δεν (?:ήταν δυνατή|παραδόθηκε)|配信不能|配信できません|送信できません|配送エラー|メール送信エラー|未送達|邮件传输失败|無法傳遞|无法投递|退信|系统退信|未送达|배달 ?(?:되지|실패)|전송 ?실패|반송|"
    r"لم يتم تسليم|תעדר מסירה|לא ניתן למסור)"
)
_DELAYED = re.compile(
    r"(?i)\bdelay|will (?:keep|continue to) (?:try|be retried)|still (?:trying|being retried)|attempts will continue|(?:been|was) postponed|no action is required|warning: (?:could not send|message)|not been delivered yet|verzögert|retardé|retrasad|ritardo|задерж|you do not need to resend|will be retried"
)
_RECEIPT = re.compile(
    r"(?i)^\s*(?:read(?: receipt)?\s*:|return receipt|disposition notification|read receipt|gelesen\s*:|lesebest[äa]tigung|lu\s*:|accus[ée] de (?:lecture|r[ée]ception)|le[íi]do\s*:|confirmaci[óo]n de lectura|letto\s*:|conferma di lettura|gelezen\s*:|leesbevestiging|lida\s*:|lido\s*:|l[äa]st\s*:|lest\s*:|luettu\s*:|przeczytano?\s*:|přečteno\s*:|прочитано\s*:|開封済み\s*[:：]|已读\s*[:：]|已讀\s*[:：]|읽음\s*[:：]|okundu\s*:|not read\s*:|ungelesen gel[öo]scht)"
)
_DELIVERED = re.compile(
    r"(?i)^\s*(?:delivered\s*:|relayed\s*:|successful mail delivery|delivery receipt|mail delivered|zugestellt\s*:|remis\s*:|entregado\s*:|recapitato\s*:|delivery status notification \(success\))"
)
_CHALLENGE = re.compile(
    r"(?i)(?:verify#|your (?:email|e-mail|message) (?:to .{1,80} )?requires? (?:verification|confirmation|approval)|requires sender verification|sender (?:verification|address verification)|please (?:confirm|verify|authenticate) (?:your|the|that) (?:e-?mail|message|request|sender|delivery|identity)|"
    r"(?:please )?confirm your message|confirmation (?:of|for) your (?:e-?mail|message)|challenge[- ]response|message (?:held|awaiting) .{0,40}(?:confirmation|verification|moderat)|action required to deliver|\[?spamarrest|boxtrapper|verification (?:needed|required) (?:for|to) (?:deliver|your (?:e-?mail|message))|bestätigen sie ihre (?:e-?mail|nachricht)|waiting for (?:your )?(?:confirmation|authori[sz]ation))"
)
_CHALLENGE_BODY = re.compile(
    r"(?i)(?:click|follow|visit)[^.\n]{0,120}to (?:confirm|verify|authenticate|prove)[^.\n]{0,40}\b(?:your (?:e-?mail|message|address|identity)|yourself)|"
    r"(?:click|follow|visit|reply)[^.\n]{0,120}(?:to (?:release|deliver|have) (?:your|the|this) (?:e-?mail|message)|(?:that )?you are (?:a )?(?:human|person|real|not a))[^.\n]{0,200}|"
    r"one[- ]time (?:confirmation|verification)|added to (?:my|the|his|her|their) (?:white ?list|approved senders)|anti-?spam (?:system|service|solution)[^.\n]{0,160}(?:confirm|verif|authenti)|verify that (?:this|you|your)[^.\n]{0,80}(?:human|person|spam)"
)
_VACATION_BODY = re.compile(
    r"(?i)(?:i am|i'm|i will be|i'll be) (?:currently )?(?:away\b|out of (?:the )?office|on (?:annual |parental |maternity |sick )?(?:leave|vacation|holiday)|away from)|ich bin (?:derzeit |zur ?zeit |bis |ab |momentan |vom )[^.\n]{0,60}(?:nicht im|abwesend|im urlaub|außer haus)|je suis (?:actuellement )?(?:absent|en cong)|estoy (?:de vacaciones|fuera de la oficina|ausente)|sono (?:assente|in ferie|fuori ufficio)|ik ben (?:momenteel )?(?:afwezig|niet aanwezig|op vakantie)|this is an auto(?:matic|mated) (?:reply|response)|dies ist eine automatische (?:antwort|nachricht)|ceci est (?:une r[ée]ponse|un message) automatique|esto es una respuesta autom|wir haben ihre (?:e-?mail|anfrage|nachricht) erhalten"
)
_ALERT = re.compile(
    r"(?i)^\s*(?:\*{1,3}\s*(?:problem|recovery|acknowledgement|flapping\w*|downtime\w*)\b|\[(?:firing(?::\d+)?|alerting)\]\s|cron <|monit alert|report domain:.{1,200}submitter:|\[(?:zabbix|nagios|icinga)\b|(?:zabbix|nagios|icinga)\s?(?:[:-]|(?:alert|problem|notification|server)\b)|logwatch for |anacron job)"
)
_LIKE_ALERT = re.compile(
    r"(?i)^\s*(?:\[(?:problem|alert|ok|critical|warning|resolved|recovered|triggered)\]\s|(?:problem|recovery|resolved|ok)\s*[:-]\s*.{1,80}(?:host|service|cpu|disk|memory|load|is (?:down|up))|(?:up |down )?alert:|host (?:down|up|unreachable)\b)"
)


def is_auto_reply(subject: str) -> bool:
    """It begins as an auto-reply's does; people may begin so too."""
    return _AUTO_REPLY.match(subject[:CHARS]) is not None


def is_auto_reply_form(subject: str) -> bool:
    """The form that mailers give to an auto-reply's subject: `Automatic reply: …`, `Out of Office`, and nobody else."""
    found = _AUTO_REPLY.match(subject[:CHARS])
    if found is None or _NOTES_FORM.match(subject[:CHARS]):
        return found is not None
    return not _PLAIN_WORDS.match(found[0]) and _FORM_ENDS.match(subject[found.end() : CHARS]) is not None


def is_reply_within(subject: str) -> bool:
    """`Abwesend: Re: your order`"""
    return _REPLY_WITHIN.search(subject[:CHARS]) is not None


def is_bounce(subject: str) -> bool:
    return _BOUNCE.match(subject[:CHARS]) is not None


def is_delay(text: str) -> bool:
    return _DELAYED.search(text[:2000]) is not None


def is_receipt(subject: str) -> bool:
    return _RECEIPT.match(subject[:CHARS]) is not None


def is_delivered(subject: str) -> bool:
    return _DELIVERED.match(subject[:CHARS]) is not None


def is_challenge(subject: str) -> bool:
    return _CHALLENGE.search(subject[:CHARS]) is not None


def asks_to_confirm(text: str) -> bool:
    return _CHALLENGE_BODY.search(text[:3000]) is not None


def is_vacation(text: str) -> bool:
    return _VACATION_BODY.search(text[:1500]) is not None


def is_alert(subject: str) -> bool:
    """In the form of a monitoring program."""
    return _ALERT.match(subject[:CHARS]) is not None


def is_like_alert(subject: str) -> bool:
    """As monitoring programs write it, and people who report a fault."""
    return _LIKE_ALERT.match(subject[:CHARS]) is not None
