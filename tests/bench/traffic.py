"""Made-up traffic that really hits rules: the same seed gives the same rules and the same interactions.

Bodies of about 600 characters in eight languages. Each rule looks for words of its own (made-up product names), and
each interaction names two of them, so that about one rule fires whatever the number of rules; one rule in ten looks at
something else than words, one in twenty is negated, one in twenty answers.
"""

import random
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any

from rules.check import check
from rules.model import PolicySource, TemplateText
from rules.parse import Reader
from rules.policy import Policy, compile_policy
from rules.tree import YamlMap
from schemas import ids
from schemas.interaction import ChatContent, Contact, EmailContent, Interaction, PhoneLogContent, Sender, WebFormContent
from tests.kit.contacts import NOW

BODY_CHARS = 600
CUSTOMERS = 5000
TIERS = ("gold", "silver", "bronze", None)
WORDS = {
    "en": "hello please where is my order it should have been here last week and now I wonder whether anybody looks at "
    "these messages because the parcel shows as delivered but nobody rang at our door thanks for your help with this "
    "invoice number refund broken return address change delivery date again still waiting since monday would like to",
    "de": "hallo bitte wo ist meine Bestellung sie sollte letzte Woche hier sein und jetzt frage ich mich ob jemand "
    "diese Nachrichten liest weil das Paket als zugestellt gilt aber niemand an der Tür geklingelt hat danke für Ihre "
    "Hilfe Rechnung Nummer Rückgabe kaputt Adresse ändern Lieferung über können möchte schöne Grüße",
    "fr": "bonjour où est ma commande elle devait arriver la semaine dernière et je me demande si quelqu'un lit ces "
    "messages parce que le colis est indiqué comme livré mais personne n'a sonné à notre porte merci pour votre aide "
    "facture numéro remboursement cassé retour adresse changer livraison déjà très à nouveau",
    "es": "hola dónde está mi pedido debía llegar la semana pasada y ahora me pregunto si alguien lee estos mensajes "
    "porque el paquete figura como entregado pero nadie llamó a nuestra puerta gracias por su ayuda factura número "
    "reembolso roto devolución dirección cambiar entrega fecha todavía mañana",
    "it": "ciao dov'è il mio ordine doveva arrivare la settimana scorsa e ora mi chiedo se qualcuno legge questi "
    "messaggi perché il pacco risulta consegnato ma nessuno ha suonato alla porta grazie per il vostro aiuto fattura "
    "numero rimborso rotto reso indirizzo cambiare consegna più già",
    "pl": "dzień dobry gdzie jest moje zamówienie miało przyjść w zeszłym tygodniu i zastanawiam się czy ktoś czyta te "
    "wiadomości bo paczka jest oznaczona jako doręczona ale nikt nie zadzwonił do drzwi dziękuję za pomoc faktura "
    "numer zwrot uszkodzony adres zmiana dostawa jeszcze proszę",
    "ru": "здравствуйте где мой заказ он должен был прийти на прошлой неделе и теперь я не знаю читает ли кто-нибудь "
    "эти сообщения потому что посылка считается доставленной но никто не звонил в дверь спасибо за помощь счёт номер "
    "возврат сломан адрес изменить доставка ещё пожалуйста",
    "ja": "こんにちは 私の注文は どこに ありますか 先週 届くはず でした 荷物は 配達済みと 表示されて いますが 誰も "
    "ベルを 鳴らしませんでした ご協力 ありがとう ございます 請求書 "
    "番号 返金 壊れた 返品 住所 変更 配送 まだ お願いします",
}
LANGUAGES = tuple(WORDS)
_VOCABULARY = {language: tuple(words.split()) for language, words in WORDS.items()}
_HEADS = ("ba", "co", "du", "fé", "gi", "hö", "ka", "lu", "mi", "no", "pa", "qui", "ra", "so", "te", "va", "wy", "zo")
_TAILS = ("dor", "lex", "mak", "nix", "pol", "ras", "tan", "vör", "xim", "zen")


@cache
def name(number: int) -> str:
    """A product's name, another one for each number."""
    head, rest = divmod(number, len(_TAILS))
    syllables = [_TAILS[rest]]
    while True:
        head, rest = divmod(head, len(_HEADS))
        syllables.insert(0, _HEADS[rest])
        if not head:
            return "".join(syllables).capitalize()
        head -= 1


def rule(number: int, rng: random.Random) -> dict[str, Any]:
    """One rule, as a person would write it in YAML."""
    when: dict[str, Any] = {}
    if number % 10 == 9:
        when = rng.choice(
            [
                {"sender": {"domain": f"shop{number}.example"}},
                {"attribute": {"name": "plan", "equals": f"plan-{number}"}},
                {"customer_tier": "gold", "channel": "phone_log", "language": rng.choice(LANGUAGES)},
                {"header": {"name": f"X-Campaign-{number}", "exists": True}},
                {"subject": {"regex": rf"(?i)rma[- ]?{number}\d{{4}}"}},
            ]
        )
    else:
        when[rng.choice(["message", "message", "text"])] = {"contains": [name(2 * number), name(2 * number + 1)]}
    if number % 20 == 7:
        when["not"] = {"channel": rng.choice(["chat", "web_form"])}
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        more = rng.choice(
            [
                {"channel": rng.choice([["email"], ["email", "web_form"], ["chat", "web_form", "email"]])},
                {"customer_tier": rng.choice([["gold"], ["gold", "silver"], ["gold", "silver", "bronze"]])},
                {"verdict": "verified"},
                {"business_hours": "open"},
            ]
        )
        when |= {key: value for key, value in more.items() if key not in when}
    written: dict[str, Any] = {"name": f"rule {number}", "order": number % 500, "when": when, "tags": [f"tag-{number}"]}
    if number % 3 == 0:
        written["queue"] = f"queue-{number % 5}"
    if number % 4 == 1:
        written["tier"] = rng.choice(["P1", "P2", "P4"])
    if number % 20 == 3:
        written["answer"] = "status"
    return written


def policy_source(count: int, seed: int = 7) -> PolicySource:
    rng = random.Random(seed)
    reader = Reader("rules/made.yaml")
    rules = reader.rules([_with_lines(rule(number, rng)) for number in range(count)])
    assert not reader.problems, reader.problems[:3]
    texts = {
        "en": TemplateText(text="Hello {{ customer_name }},\nwe look after {{ reference }}. {{ company }}\n"),
        "de": TemplateText(text="Guten Tag {{ customer_name }},\nwir kümmern uns um {{ reference }}. {{ company }}\n"),
    }
    hours = {"default": {"timezone": "Europe/Berlin", "holidays": ["DE-BE"], "hours": {"mon-fri": ["08:00-18:00"]}}}
    queues = {"general": {}} | {f"queue-{n}": {} for n in range(5)}
    values = {"templates": {"status": texts}, "business_hours": hours, "queues": queues, "company": "Lamp & Co"}
    source = PolicySource.model_validate({"rules": tuple(rules), **values})
    assert not check(source), check(source)[:3]
    return source


def policy(count: int, seed: int = 7) -> Policy:
    """A policy of `count` rules, ready to decide."""
    return compile_policy(policy_source(count, seed))


def _with_lines(tree: Any) -> Any:
    if isinstance(tree, dict):
        made = YamlMap({key: _with_lines(value) for key, value in tree.items()})
        made.lines = dict.fromkeys(tree, 1)
        return made
    return [_with_lines(item) for item in tree] if isinstance(tree, list) else tree


def body(rng: random.Random, language: str, names: list[str], size: int = BODY_CHARS) -> str:
    words = _VOCABULARY[language]
    gap = "" if language == "ja" else " "
    chosen: list[str] = []
    length = 0
    while length < size:
        word = rng.choice(words)
        chosen.append(word)
        length += len(word) + len(gap)
        if len(chosen) % 17 == 0:
            chosen[-1] += "。" if language == "ja" else rng.choice([".\n", ".", ","])
    for each in names:
        chosen.insert(rng.randrange(len(chosen)), f" {each} " if language == "ja" else each)
    return gap.join(chosen)


def interactions(
    count: int, rules: int, policy_version: str, seed: int = 11, size: int = BODY_CHARS
) -> Iterator[Interaction]:
    """Interactions for a policy of `rules` rules, four messages a conversation, bodies of `size` characters."""
    rng = random.Random(seed)
    for number in range(count):
        language = rng.choice(LANGUAGES)
        names = [name(rng.randrange(2 * rules)) for _ in range(2)]
        channel = rng.choices(["email", "chat", "web_form", "phone_log"], [60, 20, 15, 5])[0]
        contact = _contact(rng, number, channel, language, body(rng, language, names, size))
        conversation, seq = divmod(number, 4)
        yield Interaction(
            **{field: getattr(contact, field) for field in Contact.model_fields},
            id=ids.interaction_id(channel, contact.account, contact.native_id),
            conversation_id=ids.conversation_id("a", str(conversation), ""),
            reference=f"SB-{1000 + conversation}",
            seq=seq + 1,
            occasion="first" if seq == 0 else "follow_up",
            accepted_at=contact.received_at + timedelta(milliseconds=20),
            customer_id=f"customer-{conversation % CUSTOMERS}",
            policy_version=policy_version,
            digest="0" * 64,
        )


def _contact(rng: random.Random, number: int, channel: str, language: str, text: str) -> Contact:
    address = f"customer{number % 5000}@mail{number % 50}.example"
    values: dict[str, Any] = {
        "native_id": f"<{number}@example.org>",
        "received_at": NOW + timedelta(seconds=number % 40_000, microseconds=rng.randrange(10**6)),
        "subject": f"{rng.choice(_VOCABULARY[language])} {number % 1000}",
        "text": text,
        "language": language,
        "attributes": {"plan": rng.choice(["basic", "plus"])},
    }
    verdict = rng.choice(["verified", "verified", "unknown"])
    match channel:
        case "email":
            headers = (
                ("From", f"Ann <{address}>"), ("To", "help@shop.example"), ("Subject", values["subject"]),
                ("Message-ID", f"<{number}@example.org>"), ("Date", "Wed, 04 Mar 2026 10:00:00 +0000"),
                ("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8"), ("X-Mailer", "Post 16.0"),
            )  # fmt: skip
            content = EmailContent(message_id=f"{number}@example.org", headers=headers, envelope_from=address)
            sender = Sender(kind="email", address=address, name="Ann", verdict=verdict)
            return Contact(account="support", sender=sender, content=content, **values)
        case "chat":
            chat = ChatContent(session_id=f"s{number}", client_message_id="1")
            sender = Sender(kind="session", address=f"s{number}", verdict="verified")
            return Contact(account="website", sender=sender, content=chat, **values)
        case "web_form":
            form = WebFormContent(form="contact", fields={"topic": "order"})
            sender = Sender(kind="email", address=address, name="Bob", verdict=verdict)
            return Contact(account="contact", sender=sender, content=form, **values)
        case _:
            call = PhoneLogContent(call_id=str(number), caller="+49301234567", notes="call back")
            sender = Sender(kind="phone", address="+49301234567", name="Carl")
            return Contact(account="calls", sender=sender, content=call, **values)
