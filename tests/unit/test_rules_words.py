"""How words are found: folding, boundaries, scripts without spaces."""

import pytest

from rules.words import normal, phrase, tokens


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
    ("written", "part", "token"),
    [
        ("Where is my order", False, "where"),
        ("order", True, None),
        ("an order is", True, "order"),
        ("注文", False, None),
        ("#1", False, "1"),
        ("my 注文 order", False, "order"),
    ],
)
def test_the_anchor_of_a_phrase(written: str, part: bool, token: str | None) -> None:
    assert phrase(written, part=part).token == token


def test_tokens_are_whole_words() -> None:
    assert tokens(normal("My order_id: ORD-12, 注文order!")) == {"my", "order", "id", "ord", "12"}
