"""How words are found: folding, boundaries, scripts without spaces."""

import pytest

from rules.phrases import PhraseBook
from rules.words import normal, phrase


@pytest.mark.parametrize(
    ("written", "text", "found"),
    [
        ("order", "My ORDER!", True),
        ("order", "reordering", False),
        ("order", "order_id", True),  # an underscore is neither letter nor digit
        ("order", "order2", False),
        ("strasse", "Hauptstraße", False),
        ("Straße", "die STRASSE.", True),
        ("cafe", "Café", True),
        ("café", "cafeteria", False),
        ("order status", "Order\r\n\tSTATUS?", True),
        ("order status", "order\u00a0status", True),
        ("#1", "we are #1!", True),
        ("#1", "we are #12", False),
        ("c++", "c++11", True),  # nothing is checked after a sign
        ("поръчка", "Моята поръчка", True),
        ("ручка", "поручка", False),
        ("注文", "ご注文の状況", True),
        ("訂單", "我的訂單狀態", True),
        ("คำสั่งซื้อ", "สถานะคำสั่งซื้อของฉัน", True),
        ("주문", "주문을 확인", True),
        ("order", "我的order號", True),
        ("ऑर्डर", "मेरा ऑर्डर कहाँ", True),
        ("कम", "कमी", False),  # a vowel sign goes on with the word
        ("d'ouverture", "horaires d’ouverture", True),  # as phones, Word and many keyboards write it
        ("can’t log in", "I can't log in", True),
        ("e-mail", "my e‑mail", True),
        ('"express"', "„express“", True),
        ("O'Brien", "北京 O’Brien", True),  # the long way
        ("order", "o\u200br\u00add\u2060er", True),
        ("tel", "℡", True),
        ("", "anything", True),
    ],
)
def test_whole_words(written: str, text: str, found: bool) -> None:
    assert phrase(written).found_in(normal(text)) is found


def test_parts() -> None:
    assert phrase("bestell", part=True).found_in(normal("Nachbestellung"))
    assert not phrase("bestell").found_in(normal("Nachbestellung"))


@pytest.mark.parametrize(
    ("written", "part", "text", "where"),
    [
        ("order", False, ("my order", "order"), 3),
        ("order", False, ("my order", "reorder"), 1),
        ("order", True, ("mine", "reorder"), 2),
        ("注文", False, ("my注文order", ""), 1),
        ("#1", False, ("", "we are #1!"), 2),
        ("#1", False, ("#12", "a#1"), 2),
        ("order is", False, ("order", "is"), 0),
    ],
)
def test_all_phrases_are_found_in_one_pass(written: str, part: bool, text: tuple[str, str], where: int) -> None:
    book = PhraseBook()
    others = [book.number(phrase(word)) for word in ("or", "der", "ord")]
    number = book.number(phrase(written, part=part))
    book.close()
    assert book.scan(*map(normal, text)) == ({number: where} if where else {})
    assert others == [0, 1, 2]
