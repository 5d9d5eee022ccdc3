"""Every mistake at once, each with file, line and a hint; and no false alarm."""

import os
from pathlib import Path
from typing import Any

import pytest

from rules import shadows
from rules.check import check
from rules.load import SECTIONS, load_policy, read_yaml
from rules.model import PolicySource, PriorityTable, Rule, TemplateText
from rules.policy import compile_policy
from rules.provable import impossible
from rules.tree import parse_yaml
from schemas.errors import ConfigError
from tests.kit.policies import EXAMPLE, checked, example_policy, problems_in


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ("- {name: r, when: {subjct: x}, tags: t}", "unknown field 'subjct' (did you mean subject?)"),
        ("- {name: r, when: {subject: {contain: [x]}}, tags: t}", "operator 'contain' (did you mean contains?)"),
        ("- {name: r, when: {channel: {contains: [a]}}, tags: t}", "contains does not fit channel (one of equals, in,"),
        ("- {name: r, when: {subject: order}, tags: t}", "say how subject is compared"),
        ("- {name: r, when: {channel: emial}, tags: t}", "channel is never 'emial' (did you mean email?)"),
        ("- {name: r, when: {channel: [email, 7]}, tags: t}", "channel is never 7"),
        ("- {name: r, when: {automatic: maybe}, tags: t}", "equals takes true or false, not 'maybe'"),
        ("- {name: r, when: {business_hours: shut}, tags: t}", "business_hours is never 'shut'"),
        ("- {name: r, when: {header: {exists: true}}, tags: t}", "header needs a name"),
        ("- {name: r, when: {text: {regex: '(a'}}, tags: t}", "bad regex '(a': missing ): (a"),
        ("- {name: r, when: {text: {regex: '(?=a)'}}, tags: t}", "no look-around"),
        ("- {name: r, when: {text: {contains: []}}, tags: t}", "needs at least one value"),
        ("- {name: r, when: {text: {contains: [x, '  ']}}, tags: t}", "has an empty text"),
        ("- {name: r, when: {text: {contains: x, match: full}}, tags: t}", "match is word or part"),
        ("- {name: r, when: {text: {match: part}}, tags: t}", "has no operator"),
        ("- {name: r, when: {text: {regex: [a, b]}}, tags: t}", "regex takes one value, not a list"),
        ("- {name: r, when: {any: []}, tags: t}", "at least one"),
        ("- {name: r, when: {any: {channel: email}}, tags: t}", "holds a list of conditions"),
        ("- {name: r, when: [channel, email], tags: t}", "a condition is a mapping"),
        ("- {name: r, when: {not: {}}, tags: t}", "when.not: a condition is empty"),
        ("- {name: r, when: {attachments: many}, tags: t}", "equals: 'many' is no number"),
        ("- {name: r, when: {age: {more_than: soon}}, tags: t}", "more_than: "),
        ("- {name: r, when: {time: '9-12'}, tags: t}", "between: '9-12' is no span of time"),
        ("- {name: r, when: {header.X-Ip: {cidr: 10.0.0.300/8}}, tags: t}", "cidr: "),
        ("- {name: r, when: {contacts.90: 1}, tags: t}", "contacts needs a number of days"),
        ("- {name: r, when: 'subject ==', tags: t}", "when: bad expression: mismatched input"),
        ("- {name: r, when: 'subjct == 1', tags: t}", "unknown name 'subjct'"),
        ("- {name: r, when: 'text.matches(\"a\")', tags: t}", "matches() is not available"),
        ("- {name: r, when: 'size > \"big\"', tags: t}", "bad expression: types that do not fit (No such overload"),
        ("- {name: r, when: 'automatic && to.contains(\"a\")', tags: t}", "do not fit (Undefined variable or"),
        ("- {name: r, when: '(automatic == \"true\")', tags: t}", 'true or false, which never equals "true"'),
        ("- {name: r, when: '\"5\" == size', tags: t}", 'size is a number, which never equals "5"'),
        ("- {name: r, when: 'weekday == \"Monday\"', tags: t}", "weekday is never \"Monday\" ("),
        ("- {name: r, when: {sender_domain: '*.example.org'}, tags: t}", "sender_domain is never '*.example.org'"),
        ("- {name: r, when: {sender_domain: '@b.example'}, tags: t}", "never '@b.example' (write b.example"),
        ("- {name: r, when: 'queue == \"suport\"', tags: t}", 'queue is never "suport"'),
        ("- {name: r, when: 'header[\"List-Id\"] == \"x\"', tags: t}", 'in lower case, "List-Id" is not ("list-id")'),
        ("- {name: r, when: '\"List-Id\" in header', tags: t}", 'in lower case, "List-Id" is not ("list-id")'),
        ("- {name: r, when: 'subject', tags: t}", "gives a text, not true or false (compare it with something)"),
        ("- {name: r, when: {queue: suport}, tags: t}", "unknown queue 'suport'"),
        ("- {name: r}", "rule r does nothing"),
        ("- {name: r, on: [], tags: t}", "on is empty (leave it out"),
        ("- {name: r, on: later, tags: t}", "Input should be 'first'"),
        ("- {tags: t}", "rule without a name: name: Field required"),
        ("- {name: r, queue: genral}", "unknown queue 'genral' (did you mean general?)"),
        ("- {name: r, answer: hello}", "unknown template 'hello' (there are none)"),
        ("- {name: r, tier: P5}", "tier: Input should be 'P1'"),
        ("- {name: r, target: soon}", "not a duration"),
        ("- {name: r, target: 0s}", "longer than 0s"),
        ("- {name: r, close: because}", "close: Input should be"),
        ("- {name: r, order: high, tags: t}", "order: has to be a whole number"),
        ("- {name: r, stop: 3}", "stop: Input should be a valid boolean"),
        ("- {name: r, than: x, tags: t}", "unknown key 'than'"),
        ("- {name: r, tags: t}\n- {name: r, tags: u}", "rule r: the name is taken (by rules/a.yaml:1)"),
        ("- {name: a, tags: t, stop: true}\n- {name: b, tags: u}", "b is never reached (rule a always stops before"),
        ("- {name: r, when: {all: [{channel: email}, {channel: [chat]}]}, tags: t}", "r never fires (channel"),
        (
            "- {name: a, when: {channel: email}, tags: t, stop: true}\n"
            "- {name: b, when: {channel: email, language: en}, tags: u}",
            "rules/a.yaml:2: rule b is shadowed (wherever it holds, rule a stops before it)",
        ),
        ("- name: r\n  tags: t\n  tags: u", "rules/a.yaml:3: 'tags' stands here a second time (first in line 2)"),
        ("- &x {name: r, tags: t}\n- *x", "aliases"),
        ("rules: []", "a rule file holds a list of rules"),
        ("- just text", "a rule is a mapping"),
        ("- {name: r", "not YAML"),
        ("- {name: r, tags: !!python/object:os.system x}", "not supported"),
        ("- {name: r, when: " + "{not: " * 30 + "{channel: email}" + "}" * 30 + ", tags: t}", "deeper than 20"),
        ("[" * 5000, "nested deeper"),
        ("- {name: r, when: {text: {regex: " + "a" * 5000 + "}}, tags: t}", "longer than 4096"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(rules: str, problem: str) -> None:
    found = problems_in(rules)
    assert any(problem in one for one in found), found
    assert all(one.startswith("rules/a.yaml") for one in found), found
    assert len(found) == 1, found


@pytest.mark.parametrize(
    "rules",
    [
        # stops only now and then, or for other occasions, or lets go once released
        "- {name: a, when: {channel: email}, tags: t, stop: true}\n- {name: b, tags: u}",
        "- {name: a, on: [first], tags: t, stop: true}\n- {name: b, tags: u}",
        "- {name: a, hold: check, stop: true}\n- {name: b, tags: u}",
        "- {name: a, order: 5, tags: t}\n- {name: b, order: 1, tags: u}",
        "- {name: n, when: {language: no, attribute.x: 12:30, account: on}, tags: [on, off, yes], set: {a: 1}}",
        "",
        '- {name: r, when: \'size == 5 + 3 || to[0] == "x" || header.x == "a" || int(subject) > 3\', tags: t}',
        '- {name: r, when: \'to.exists(size, size == "x") && attribute.size != "3"\', tags: t}',
        "- {name: r, when: 'now.getHours() >= 9 && contacts_7d == 2 && business_hours == \"open\"', tags: t}",
        '- {name: r, when: \'queue == "" || tier != ""\', tags: t}',
    ],
)
def test_no_false_alarm(rules: str) -> None:
    assert problems_in(rules) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"default_queue": "x"}, "default_queue 'x' is not among the queues"),
        ({"queues": {"general": {"business_hours": "x"}}}, "unknown business hours 'x'"),
        ({"queues": {"general": {"overflow_to": "x", "overflow_after": "1m"}}}, "overflows into unknown queue 'x'"),
        ({"queues": {"general": {"overflow_to": "general", "overflow_after": "1m"}}}, "overflows into itself"),
        ({"business_hours": {"default": {"timezone": "x", "hours": {}}}}, "business hours default: unknown timezone"),
        ({"priority": {"targets": {"chat": {"P1": "1m"}}}}, "targets for chat lack P2, P3, P4"),
        ({"priority": {"table": []}}, "no last row"),
        ({"priority": {"table": [{"when": {"channel": "chat"}, "tier": "P1"}]}}, "no last row"),
        ({"priority": {"table": [{"tier": "P1"}, {"tier": "P2"}]}}, "row 1 takes everything"),
        ({"templates": {"t": {"de": TemplateText(text=""), "fr": TemplateText(text="")}}}, "no default language"),
        ({"templates": {"t": {"en": TemplateText(text="{{ refrence }}")}}}, "unknown variable 'refrence'"),
    ],
)
def test_what_does_not_fit_together(source: dict[str, Any], problem: str) -> None:
    policy = PolicySource.model_validate(source)
    with pytest.raises(ConfigError) as error:
        checked(policy)
    assert any(problem in one for one in error.value.problems), error.value.problems


def _load(folder: Path) -> PolicySource:
    tree = read_yaml(folder / "switchboard.yaml", "switchboard.yaml")
    return load_policy(folder, {key: tree[key] for key in SECTIONS if key in tree})


def test_the_files_of_a_folder_and_all_their_mistakes(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "switchboard.yaml").write_text(
        "rules: {path: rules/, templates: templates/}\n"
        "queues:\n"
        "  general: {}\n"
        "  support: {busines_hours: default}\n"
        "priority:\n"
        "  modifiers:\n"
        "    repeat_contact: 5\n"
        "conversations: {reference: SB}\n"
    )
    (tmp_path / "rules" / "one.yaml").write_text("- name: a\n  queue: nowhere\n\n- name: b\n  answer: missing\n")
    (tmp_path / "rules" / "two.yaml").write_text("- name: a\n  when:\n    chanel: email\n  tags: x\n")
    (tmp_path / "rules" / "notes.txt").write_text("x")
    (tmp_path / "rules" / "bad.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "templates" / "hi.en.txt").write_text("Subject: Hi\n\n{{ name }} {{ reference }}\n")
    (tmp_path / "templates" / "hi.de.txt").write_text("no subject\n")
    (tmp_path / "templates" / "ho.en.html").write_text("<p>")
    (tmp_path / "templates" / "hi.deutsch.text").write_text("")
    with pytest.raises(ConfigError) as error:
        _load(tmp_path)
    found = error.value.problems
    for start, what in (
        ("switchboard.yaml:4:", "queues.support.busines_hours: unknown key (did you mean business_hours?)"),
        ("switchboard.yaml:7:", "priority.modifiers.repeat_contact"),
        ("switchboard.yaml:8:", "conversations.reference: must hold {number}"),
        ("rules/one.yaml:2:", "unknown queue 'nowhere'"),
        ("rules/one.yaml:5:", "unknown template 'missing'"),
        ("rules/two.yaml:1:", "the name is taken (by rules/one.yaml:1)"),
        ("rules/two.yaml:3:", "unknown field 'chanel' (did you mean channel?)"),
        ("rules/notes.txt:", "no rule file"),
        ("rules/bad.yaml:", "not UTF-8 at byte 0"),
        ("templates/hi.en.txt:", "unknown variable 'name'"),
        ("templates/hi.de.txt:1:", "begins with its subject"),
        ("templates/ho.en.html:", "no .txt beside it"),
        ("templates/hi.deutsch.text:", "is no template"),
    ):
        assert any(one.startswith(start) and what in one for one in found), (start, what, found)
    assert len(found) == 13


def test_what_lies_among_the_rules_and_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    (folder / "more").mkdir(parents=True)
    (folder / "more" / "a.yaml").write_text("- {name: a, tags: t}")
    (folder / ".git").mkdir()
    (folder / "10-gate.yaml").symlink_to(tmp_path / "gone.yaml")
    os.mkfifo(folder / "pipe.yaml")
    (folder / "b.yaml").write_text("- {name: b, tags: t}")
    with pytest.raises(ConfigError) as caught:
        load_policy(tmp_path, {"rules": {"path": "rules"}})
    told = [problem.replace(str(tmp_path), "") for problem in caught.value.problems]
    assert told == [
        "rules/10-gate.yaml: leads nowhere (the link names '/gone.yaml')",
        "rules/more: is a folder: what is in it would not be read (move its files up)",
        "rules/pipe.yaml: is no file",
    ]


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    assert load_policy(tmp_path, {}).rules == ()
    with pytest.raises(ConfigError, match="no such file or folder for rules"):
        load_policy(tmp_path, {"rules": {"path": "rles/"}})
    with pytest.raises(ConfigError, match="unknown section 'queuse'"):
        load_policy(tmp_path, {"queuse": {}})
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml", "none.yaml")


def test_one_file_of_rules_is_enough(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("- {name: a, tags: x}\n")
    source = load_policy(tmp_path, {"rules": {"path": "all.yaml"}})
    assert [(rule.name, rule.file, rule.line) for rule in source.rules] == [("a", "all.yaml", 1)]


def test_the_example_survives_the_way_through_the_store() -> None:
    source = example_policy().source
    again = PolicySource.from_json(source.to_json())
    assert again == source
    assert again.version == source.version == compile_policy(again).version
    with pytest.raises(ConfigError):
        PolicySource.from_json(b'{"rules": 5}')


def test_the_version_is_about_what_decides(tmp_path: Path) -> None:
    source = _load(EXAMPLE)
    assert source.version == example_policy().version
    assert source.version.startswith("p-") and len(source.version) == 14
    moved = tuple(rule.model_copy(update={"file": "x", "line": 9, "lines": {}}) for rule in reversed(source.rules))
    assert source.model_copy(update={"rules": moved, "places": {}}).version == source.version
    for change in (
        {"rules": source.rules[1:]},
        {"default_queue": "support"},
        {"priority": PriorityTable()},
        {"rules": (source.rules[0].model_copy(update={"set": {"file": "x"}}), *source.rules[1:])},
        {"rules": (Rule(**{**source.rules[0].model_dump(), "when": None}), *source.rules[1:])},
    ):
        assert source.model_copy(update=change).version != source.version


def test_yaml_words_stay_words() -> None:
    tree, problems = parse_yaml(
        "on: no\ntime: 12:30\nday: 2026-12-24\nzip: 01234\nn: 12\nyes: true\nnone: ~\nx: 1.5", "f"
    )
    assert problems == []
    assert tree == {
        "on": "no",
        "time": "12:30",
        "day": "2026-12-24",
        "zip": "01234",
        "n": 12,
        "yes": True,
        "none": None,
        "x": 1.5,
    }
    assert tree.lines["zip"] == 4


@pytest.mark.parametrize(
    "rules",
    [
        # not the same occasions
        "- {name: a, on: first, when: {known: true}, tags: t, stop: true}\n- {name: b, when: {known: true}, tags: u}",
        # a released hold lets go
        "- {name: a, when: {channel: email}, hold: x, stop: true}\n- {name: b, when: {channel: email}, tags: u}",
        # what rules change between them
        "- {name: a, when: {tags: x}, tags: t, stop: true}\n- {name: b, when: {tags: x}, tags: u}",
        # the same name of different things
        "- {name: a, when: {form.x: a}, tags: t, stop: true}\n- {name: b, when: {form.y: a}, tags: u}",
        # several values at once
        "- {name: a, when: {all: [{to: a@x.org}, {to: b@x.org}, {tags: a}, {tags: b}, {form.b: y}]}, tags: t}",
    ],
)
def test_what_may_fire_is_no_shadow(rules: str) -> None:
    assert problems_in(rules) == []


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (
            "- {name: r, answer: t, when: {occasion: reopened}}",
            "r never fires (it runs on first only, as one with an answer does unless it says on)",
        ),
        (
            "- {name: r, queue: general, on: first, when: {occasion: follow_up}}",
            "r never fires (it runs on first only)",
        ),
        (
            "- {name: r, tags: t, on: [first, reopened], when: {not: {occasion: [first, reopened]}}}",
            "first, reopened only",
        ),
        (
            "- {name: r, answer: t, when: {any: [{occasion: follow_up}, {language: en}]}}",
            "rule r: when.any[0] never holds (it runs on first only, as",
        ),
    ],
)
def test_what_never_fires_because_of_the_occasions_it_runs_on(rules: str, problem: str) -> None:
    (found,) = problems_in(rules, templates={"t": {"": TemplateText(text="")}})
    assert problem in found


@pytest.mark.parametrize(
    "rules",
    [
        "- {name: r, tags: t, when: {occasion: reopened}}",
        "- {name: r, answer: t, on: [reopened], when: {occasion: reopened}}",
        "- {name: r, answer: t, when: {not: {occasion: reopened}}}",
        "- {name: r, answer: t, on: [first, reopened], when: {any: [{occasion: reopened}, {occasion: first}]}}",
        "- {name: r, answer: t, when: {not: {any: [{occasion: reopened}, {channel: chat}]}}}",
    ],
)
def test_no_false_alarm_about_occasions(rules: str) -> None:
    assert problems_in(rules, templates={"t": {"": TemplateText(text="")}}) == []


def test_a_stored_policy_is_used_though_the_checks_are_stricter_now() -> None:
    source = PolicySource.model_validate(
        {
            "rules": [
                {
                    "name": "never",
                    "on": ["first"],
                    "tags": ["x"],
                    "when": {"field": "occasion", "operator": "equals", "value": "reopened"},
                }
            ]
        }
    )
    with pytest.raises(ConfigError, match="never"):
        checked(source)
    assert compile_policy(PolicySource.from_json(source.to_json())).version == source.version


def test_a_regex_of_many_brackets_is_made_ready() -> None:
    when = {"field": "text", "operator": "regex", "value": "(" * 900 + "a" + ")" * 900}
    source = PolicySource.model_validate({"rules": [{"name": "r", "tags": ["x"], "when": when}]})
    assert compile_policy(checked(source))


def test_hundreds_of_stopping_rules_that_look_alike_are_checked_in_a_moment() -> None:
    looked = iter(range(10**9))

    def leaf(field: str, value: str) -> dict[str, Any]:
        return {"field": field, "operator": "contains", "value": [value]}

    rules = [
        {
            "name": f"r{n:04}",
            "stop": True,
            "tags": ["x"],
            "when": {"all": [leaf("message", "order"), leaf("text", f"sku{n}")]},
        }
        for n in range(600)
    ]
    source = PolicySource.model_validate({"rules": rules})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shadows, "impossible", lambda each: (next(looked), impossible(each))[1])
        assert check(source) == []
    assert next(looked) < 4 * shadows._PAIRS
