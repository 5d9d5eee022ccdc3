"""The sixty customers: who writes what, by which channel, and whether they are due an answer."""

from dataclasses import dataclass
from typing import Literal

from schemas.interaction import Channel
from schemas.text import fold

Kind = Literal[
    "plain",
    "out_of_office",
    "bounce",
    "duplicate",
    "broken",
    "stranger",
    "vip",
    "angry",
    "spam",
]

SHOP = "support@shop.example"


@dataclass(frozen=True, slots=True)
class Customer:
    """One scripted customer. `due`: somebody or something has to answer, and the customer has to read it."""

    number: int
    channel: Channel
    name: str
    text: str
    subject: str = ""
    kind: Kind = "plain"
    due: bool = True

    @property
    def address(self) -> str:
        return f"{fold(self.name.split()[0])}{self.number}@customer.example"


_MAILS: tuple[tuple[str, str, str, Kind], ...] = (
    ("Ann Arbor", "What are your opening hours?", "Hello, what are your opening hours?", "plain"),
    ("Bernd Vogt", "Öffnungszeiten", "Guten Tag, wie sind Ihre Öffnungszeiten?", "plain"),
    ("Chloé Petit", "Horaires", "Bonjour, quels sont vos horaires d'ouverture ?", "plain"),
    ("Diego Ruiz", "Horario", "Hola, ¿cuál es su horario de apertura?", "plain"),
    ("Emma Stone", "Where is my order?", "Where is my order 4711-2026? It should have come on Monday.", "plain"),
    ("Felix Braun", "Bestellung", "Wo bleibt meine Bestellung 4712-2026?", "plain"),
    ("Gina Rossi", "Invoice", "Could you send me the invoice for March again, please?", "plain"),
    ("Hugo Blanc", "Facture", "Pourriez-vous m'envoyer la facture de mars ?", "plain"),
    ("Ines Sol", "Factura", "¿Me pueden enviar la factura de marzo, por favor?", "plain"),
    ("Jack Hill", "Broken lamp", "The lamp arrived with a broken shade. What can we do?", "plain"),
    ("Victoria Gold", "A quick question", "Could somebody call our buyer about the frame contract?", "vip"),
    ("Angus Wild", "Unacceptable!", "This is a disgrace. I want to complain and I want my money back!", "angry"),
    ("Otto Office", "Automatic reply: out of office", "I am out of the office until Monday.", "out_of_office"),
    ("Mailer Daemon", "Undelivered Mail Returned to Sender", "The following address failed.", "bounce"),
    ("Dora Double", "Gift wrapping", "Do you offer gift wrapping for the blue vase?", "duplicate"),
    ("Bruno Bytes", "", "", "broken"),
    ("Mallory Else", "Re: Broken lamp", "I am with Jack, please tell me his address.", "stranger"),
    (
        "Win Now",
        "YOU HAVE WON",
        "Congratulations! You have won the lottery. Claim your prize now, bitcoin only.",
        "spam",
    ),
    ("Kim Lee", "Size", "Is the jacket in the spring catalogue cut large or small?", "plain"),
    ("Lars Holm", "Voucher", "My voucher code is not accepted at checkout.", "plain"),
    ("Mia Moon", "Return", "How do I return the shoes from last week?", "plain"),
    ("Nils Berg", "Rücksendung", "Wie kann ich die Schuhe zurücksenden?", "plain"),
    ("Olga Iwanowa", "Вопрос", "Здравствуйте, вы доставляете в Казахстан?", "plain"),
    ("Pia Kato", "配送について", "こんにちは。日本への配送は可能ですか。", "plain"),
)
_CHATS = (
    "What are your opening hours?",
    "Hi, is the red bag still available?",
    "Wann haben Sie geöffnet?",
    "My parcel says delivered but it is not here",
    "Can I change the address of my order?",
    "Quels sont vos horaires d'ouverture ?",
    "Do you have this in green? 👗",
    "I need help with my password",
    "¿Tienen tienda en Madrid?",
    "Can I pay by bank transfer?",
    "The checkout page shows an error",
    "Is there a student discount?",
    "Guten Tag, ich brauche Hilfe mit meiner Rechnung",
    "Could you check order 4713-2026 for me?",
    "שלום, אפשר לקבל עזרה?",
    "Hello? Anybody there?",
)
_FORMS = (
    "Please contact me about a wholesale account.",
    "Your shop window in Kiel is beautiful. Do you deliver flowers too?",
    "Ich möchte meine Adresse ändern.",
    "Can I get a printed catalogue?",
    "The newsletter link does not work.",
    "Je voudrais un devis pour 40 chaises.",
    "Do you repair old lamps?",
    "Quisiera saber si aceptan devoluciones en tienda.",
    "I left my umbrella in your store yesterday.",
    "Which paint goes with the oak table?",
    "Where can I find the care instructions?",
    "Habt ihr auch Ersatzteile?",
)
_CALLS = (
    "no answer, asked to be called back about a delivery",
    "voicemail: question about an invoice",
    "hung up in the queue after two minutes",
    "voicemail: wants to cancel an order",
    "no answer, caller tried twice",
    "voicemail: asks for a repair date",
    "line was busy",
    "voicemail: wants to speak to the manager",
)
_NOT_DUE: frozenset[Kind] = frozenset({"out_of_office", "bounce", "spam"})


def cast() -> list[Customer]:
    """All sixty, by channel."""
    people: list[Customer] = []

    def add(channel: Channel, name: str, text: str, subject: str = "", kind: Kind = "plain") -> None:
        people.append(Customer(len(people) + 1, channel, name, text, subject, kind, due=kind not in _NOT_DUE))

    for name, subject, text, kind in _MAILS:
        add("email", name, text, subject, kind)
    for text in _CHATS:
        add("chat", f"Visitor {len(people) + 1}", text)
    for text in _FORMS:
        add("web_form", f"Form {len(people) + 1}", text)
    for text in _CALLS:
        add("phone_log", f"Caller {len(people) + 1}", text)
    return people
