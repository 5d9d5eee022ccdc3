"""Behaviour cases are read wholly before any runs: what is wrong with a case never passes, and never ends it all."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import jsonschema
import pytest

from rules.cases import Case, json_schema, read_cases
from rules.load import load_cases
from rules.model import TemplateText
from rules.tree import parse_yaml
from schemas.errors import ConfigError
from switchboard.cli.rules_cases import differences, situation
from switchboard.cli.rules_inputs import facts_from
from tests.kit.policies import example_policy, policy

ANSWERING = "- {name: r, when: {message: {contains: hello}}, answer: t}"
T = {"t": {"": TemplateText(subject="Hi", text="This is about order 1042.")}}


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read_cases(dedent(text), "a.yaml")[1]]


def one(**case: Any) -> Case:
    given = {"given": {"text": "hello"}, **case}
    return Case.model_validate({"case": "c", **given})


WRONG = [
    ("{expect: {queue: a}}", "case without a name: case: Field required"),
    ("{case: ' ', expect: {queue: a}}", "case without a name: case: is empty"),
    ("{case: c}", "case c: expect: Field required"),
    ("{case: c, expect: {}}", "case c: expect: is empty"),
    ("{case: c, expect: }", "case c: expect: has to be a mapping"),
    ("{case: c, expect: {queu: a}}", "case c: expect: unknown key 'queu' (did you mean queue?)"),
    ("{case: c, givn: {}, expect: {queue: a}}", "case c: unknown key 'givn' (did you mean given?)"),
    ("{case: c, given: text, expect: {queue: a}}", "given: has to be a mapping"),
    ("{case: c, given: {colour: red}, expect: {queue: a}}", "given: unknown key 'colour'"),
    ("{case: c, given: {headers: [a]}, expect: {queue: a}}", "given.headers: has to be a mapping"),
    ("{case: c, given: {text_times: lots}, expect: {queue: a}}", "given.text_times: Input should be a valid integer"),
    ("{case: c, given: {text_times: 0}, expect: {queue: a}}", "given.text_times: Input should be greater"),
    ("{case: c, given: {channel: fax}, expect: {queue: a}}", "given.channel: Input should be 'email', 'chat'"),
    ("{case: c, given: {page: x}, expect: {queue: a}}", "given: page only with channel: chat"),
    ("{case: c, given: {channel: chat, to: x}, expect: {queue: a}}", "given: to only with channel: email"),
    ("{case: c, given: {subject: 1.5}, expect: {queue: a}}", "given.subject: Input should be a valid string (put it"),
    ("{case: c, given: {language: ''}, expect: {queue: a}}", "given.language: is empty"),
    ("{case: c, facts: {tier: gold}, expect: {queue: a}}", "facts: unknown key 'tier' (there are agreement"),
    ("{case: c, facts: {custmer_tier: gold}, expect: {queue: a}}", "(did you mean customer_tier?)"),
    ("{case: c, facts: {open_items: many}, expect: {queue: a}}", "facts.open_items: Input should be a valid integer"),
    ("{case: c, facts: {known: 'true'}, expect: {queue: a}}", "facts.known: Input should be a valid boolean"),
    ("{case: c, accepted: {ocasion: first}, expect: {queue: a}}", "accepted: unknown key 'ocasion' (did you mean occ"),
    ("{case: c, accepted: {occasion: followup}, expect: {queue: a}}", "accepted.occasion: Input should be 'first', "),
    ("{case: c, accepted: {seq: 0}, expect: {queue: a}}", "accepted.seq: Input should be greater"),
    ("{case: c, at: tomorrow, expect: {queue: a}}", "at: 'tomorrow' is no moment"),
    ("{case: c, at: 5, expect: {queue: a}}", "at: 5 is no moment"),
    ("{case: c, expect: {tier: P5}}", "expect.tier: Input should be 'P1'"),
    ("{case: c, expect: {says: ['']}}", "expect.says.0: is empty"),
    ("{case: c, expect: {says: [1.5]}}", "expect.says.0: Input should be a valid string (put it in quotes)"),
    ("{case: c, expect: {final: 'no'}}", "expect.final: Input should be a valid boolean"),
    ("{case: c, given: {attributes: {' ': x}}, expect: {queue: a}}", "given.attributes. : is empty"),
    ("just words", "a case is a mapping"),
]
RIGHT = [
    "{case: c, expect: {queue: null}}",
    "{case: 7, expect: {says: [1042], never_says: no, tags: vip, skills: [a, 7]}}",
    "{case: c, given: {}, facts: {}, accepted: {}, expect: {hold: spam}}",
    "{case: c, at: '2026-03-04', expect: {deadline: '2026-03-04T18:00:00Z', target_s: 1.5}}",
    "{case: c, given: {channel: web_form, form: {a: 1}, form_name: x}, expect: {close: spam, affinity: false}}",
    "{case: c, given: {headers: {A: 1}, to: x, attachments: [{name: a, size: 3}]}, expect: {attributes: {a: b}}}",
    "{case: c, given: {channel: phone_log, phone: '+1', called: '+2', duration_s: 4}, expect: {tags: []}}",
    "{case: c, given: {channel: chat, page: x}, facts: {customer_tags: vip, contact_days: [1, 2]}, expect: {tags: []}}",
]


@pytest.mark.parametrize(("case", "problem"), WRONG)
def test_what_is_wrong_with_a_case_is_told_with_its_line(case: str, problem: str) -> None:
    found = problems(f"\n- {case}\n")
    assert len(found) == 1 and found[0].startswith("a.yaml:2: ") and problem in found[0], found


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_is_read(case: str) -> None:
    assert problems(f"- {case}") == []


@pytest.mark.parametrize(("case", "right"), [*((case, False) for case, _ in WRONG), *((case, True) for case in RIGHT)])
def test_an_editor_sees_what_reading_sees(case: str, right: bool) -> None:
    tree, _ = parse_yaml(f"- {case}", "f")
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(tree) is right


def test_every_mistake_of_every_file_is_told_before_any_case_runs(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("- case: one\n  given: {txt: a}\n  expect: {queu: a}\n- 'no yaml\n")
    (tmp_path / "a.yaml").write_text("- case: fine\n  expect: {queue: null}\n- case: two\n  facts: [a]\n  expect: {}\n")
    (tmp_path / "c.yaml").write_text("case: no list\n")
    with pytest.raises(ConfigError) as error:
        load_cases([(tmp_path / name, name) for name in ("b.yaml", "a.yaml", "c.yaml", "none.yaml")])
    places = [problem.partition(" ")[0] for problem in error.value.problems]
    assert places == ["a.yaml:4:", "a.yaml:5:", "b.yaml:2:", "b.yaml:3:", "b.yaml:5:", "c.yaml:1:", "none.yaml:"]


def test_what_no_contact_can_be_is_a_mistake_of_the_case() -> None:
    found = problems(f"- case: c\n  given: {{sender: {'a' * 5000}}}\n  expect: {{queue: null}}\n")
    assert len(found) == 1 and found[0].startswith(
        "a.yaml:2: case c: given: sender.address: String should have at most"
    )


def test_says_as_one_text_is_not_read_letter_by_letter() -> None:
    made = policy(ANSWERING, templates=T)
    assert differences(made, one(expect={"says": "order 1042"})) == []
    assert differences(made, one(expect={"says": "redro"})) == ["the answer does not say redro"]
    assert differences(made, one(expect={"never_says": "xyz"})) == []
    assert differences(made, one(expect={"says": [1042], "never_says": [2042]})) == []


def test_an_answer_that_nobody_gets_is_no_right_one() -> None:
    """Of an unproved sender the name is not repeated: the rules choose the answer, and it is withheld."""
    made = policy(ANSWERING, templates={"t": {"": TemplateText(subject="Hi", text="Hello {{ customer_name }}")}})
    withheld = "the answer is withheld: template t repeats the customer's words, and the sender is not verified"
    for expect in ({"answer": "t"}, {"final": True}, {"says": "Hello"}):
        assert differences(made, one(expect=expect)) == [f"{withheld} (if that is meant, expect it as refused)"]
    assert differences(made, one(expect={"answer": "t", "outcome": "queue"})) == []
    assert differences(made, one(given={"text": "hello", "verdict": "verified"}, expect={"answer": "t"})) == []


def test_a_deadline_is_a_moment_whatever_its_zone() -> None:
    made = policy(ANSWERING, templates=T)
    for written in ("2026-03-04T18:00:00Z", "2026-03-04T19:00:00+01:00", "2026-03-04T18:00:00"):
        assert differences(made, one(expect={"deadline": written})) == []
    wrong = differences(made, one(at="2026-03-04T10:00:00", expect={"deadline": "2026-03-04T17:00:00Z"}))
    assert wrong == ["deadline: expected 2026-03-04T17:00:00+00:00, got 2026-03-04T18:00:00+00:00"]


@pytest.mark.parametrize(
    ("given", "when"),
    [
        ({"channel": "phone_log", "called": "+2", "phone": "+1"}, "{called: {equals: '+2'}, phone: {equals: '+1'}}"),
        ({"channel": "web_form", "form_name": "returns"}, "{form_name: returns}"),
        ({"envelope_from": "b@x.org", "delivered_to": "a@x.org"}, "{envelope_from: b@x.org, delivered_to: a@x.org}"),
        ({"received_at": "2026-03-04T08:00:00Z"}, "{age: {at_least: 2h}}"),
        ({"attachments": [{"name": "a.pdf", "size": 9}]}, "{attachment_name: {ends_with: .pdf}, attachment_size: 9}"),
    ],
)  # fmt: skip
def test_a_case_can_say_whatever_a_condition_asks_for(given: dict[str, Any], when: str) -> None:
    other = "{name: o, when: {phone: {equals: '+49301234567'}}, tags: other}"  # whom a case's call is from by itself
    made = policy(f"- {{name: r, when: {when}, tags: t}}\n- {other}")
    assert differences(made, one(given=given, expect={"tags": "t"})) == []


def test_what_acceptance_adds_is_typed() -> None:
    case = one(accepted={"occasion": "follow_up", "seq": 3}, expect={"queue": None})
    interaction, _, _ = situation(example_policy(), case)
    assert (interaction.occasion, interaction.seq, interaction.round) == ("follow_up", 3, 1)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{contacts_7d: 2}", (2, (0, 0))),
        ("{contact_days: [1, 9, 20]}", (1, (1, 9, 20))),
        ("{contacts_7d: 1, contact_days: [1, 9]}", (1, (1, 9))),
        ("{tier: gold, tags: vip}", (0, ())),
    ],
)
def test_a_customers_contacts_by_one_count_are_contacts_by_the_other(
    written: str, expected: tuple[int, tuple[int, ...]], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(written)
    facts = facts_from(tmp_path / "c.yaml")
    assert (facts.contacts_7d, facts.contact_days) == expected
    made = policy("- {name: r, when: {contacts.30: {at_least: 2}}, tags: often}")
    assert differences(made, one(facts={"contacts_7d": 2}, expect={"tags": "often"})) == []


def test_every_mistake_about_a_customer_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("tier: gold\nopen_items: many\nshoe_size: 42\n")
    with pytest.raises(ConfigError) as error:
        facts_from(tmp_path / "c.yaml")
    told = [problem.removeprefix(f"{tmp_path}/") for problem in error.value.problems]
    assert told[0].startswith("c.yaml:2: open_items: Input should be a valid integer")
    assert told[1].startswith("c.yaml:3: unknown key 'shoe_size'")
