"""HTML parts as text, and what is too much for the parsers."""

import pytest

from channels.email.parser import html
from channels.email.parser.safe_html import safe
from tests.kit.told import mail, told


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<div>a<br>b</div><div>c</div>", "a\nb\nc"),
        ("<div>a<br></div><div><br></div><div>b</div>", "a\n\nb"),
        ("<p>a</p>\n<p>b</p>", "a\n\nb"),
        ("<div><div><div>deep</div></div></div>", "deep"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>d", "* a\n  * b\n* c\n\nd"),
        ("<ol><li>x<li><p>y</p></ol>", "1. x\n2. y"),
        (
            "<table><tr><td>Name</td><td>Ann</td></tr><tr><td>City</td><td>Rome</td></tr></table>",
            "Name  Ann\nCity  Rome",
        ),
        ("<pre>if x:\n    y\n</pre>z", "if x:\n    y\n\nz"),
        ('a<span style="display:none">hidden</span><style>b{}</style><script>c</script> d', "a d"),
        ("a <!-- b --> c&nbsp;d &lt;e&gt;", "a c d <e>"),
        ("<?xml version='1.0' encoding='utf-7'?><p>x</p>", "x"),
        ("<p>unclosed <b>bold", "unclosed bold"),
        ("", ""),
    ],
)
def test_html_as_text(markup: str, text: str) -> None:
    assert html.to_text(markup) == text


def test_html_over_the_limits_loses_its_tags_only() -> None:
    text = html.to_text("<b>word</b> " * 30_000)
    assert text.startswith("word")
    assert "<b>" not in text
    assert safe("<div>" * 5000 + "x") == ""


def test_a_picture_written_into_the_html_costs_no_text() -> None:
    picture = "A" * 1_200_000
    found = told(
        mail(f'<p>Hello</p><img src="data:image/png;base64,{picture}"><p>there</p>', "Content-Type: text/html")
    )
    assert (found["outcome"], found["text"]) == ("parsed", "Hello\n\nthere")


def test_many_quotations_side_by_side_cost_no_more_than_one_look_each() -> None:
    found = html.cut('<div>new</div><div id="divRplyFwdMsg">From: x</div>' + "<p>old</p>tail" * 3000)
    assert found is not None
    assert found.new == "new"
    assert found.quoted.count("tail") == 3000


def test_control_characters_in_html_that_xml_cannot_hold() -> None:
    for control in ("\x01", "&#1;", "&#65535;", "\ud800"):
        markup = f'<div>new</div><div id="divRplyFwdMsg">From: x</div>old{control}words<br>{control}'
        found = html.cut(markup)
        assert found is not None
        assert found.new == "new"
        assert html.to_text(markup).startswith("new")


def test_control_characters_behind_a_quotation_are_left_out() -> None:
    found = html.cut("<div>new</div><blockquote type=cite>old</blockquote>more&#1;")
    assert found is not None
    assert found.new == "new\n\nmore"
