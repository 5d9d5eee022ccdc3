"""One look at a policy tells all that is wrong with it: no mistake hides another, none is told twice."""

from pathlib import Path

import pytest

from rules.load import SECTIONS, load_policy, read_tree
from schemas.errors import ConfigError
from switchboard.settings import load

CONFIG = """\
rules: {path: rules/, templates: templates/}
company: Shop
company: Again
queues:
  general: {}
  support: {busines_hours: default}
  sales: {overflow_to: nowhere, overflow_after: 1m}
business_hours:
  default: {timezone: Europe/Berlin, hours: {mon-fry: "09:00-17:00"}}
priority:
  modifiers: {repeat_contact: 5, vipp: 0.5}
"""
ONE = """\
- name: double
  tags: a
  tags: b
- name: tier
  tier: P9
  queue: suport
  close: because
  when: {subject: {regex: "(a", contain: x}, chanel: email, language: {less_than: 3, in: ["", en]}}
- name: cel
  when: "subjct == 'a' && matchs(text) && text.matches('b') && lnguage == 'en'"
  tags: t
- name: quote
  tags: "never closed
- name: after
  when: {all: [{any: {channel: emial}}, {not: {text: {regex: "["}}}, {header: {match: most}}]}
  answer: helo
  than: x
- tags: *alias
- queue: support
  targt: 1h
  when: {chanel: email, size: {more_than: 10, less_than: 5}}
- name: either
  tags: t
  when: {any: [{lnguage: en}, {language: en, not: {language: EN}}], text: {regex: "("}}
"""
TWO = """\
- name: after
  when: {channel: [emial, fax, email]}
  stop: 3
  set: {a: [1]}
- name: stops
  tags: t
  stop: true
- name: too-late
  tags: t
"""
HELLO = """\
Subject: {{ refrence }}

Hello {{ nme }},
{{ subject | uper }} {% include "x" %}
{% if account is stringg %}{% endif %}
"""
EXPECTED = """\
rules/one.yaml:3: 'tags' stands here a second time
rules/one.yaml:5: rule tier: tier: Input should be 'P1'
rules/one.yaml:6: rule tier: unknown queue 'suport' (did you mean support?)
rules/one.yaml:7: rule tier: close: Input should be
rules/one.yaml:8: rule tier: when.subject.regex: bad regex '(a'
rules/one.yaml:8: rule tier: when.subject.contain: unknown operator 'contain' (did you mean contains?)
rules/one.yaml:8: rule tier: when.chanel: unknown field 'chanel' (did you mean channel?)
rules/one.yaml:8: rule tier: when.language.less_than: less_than does not fit language
rules/one.yaml:8: rule tier: when.language.in: in has an empty text
rules/one.yaml:10: rule cel: when: bad expression: matches() is not available
rules/one.yaml:10: rule cel: when: bad expression: unknown function matchs() (did you mean matches?)
rules/one.yaml:10: rule cel: when: bad expression: unknown name 'lnguage' (did you mean language?)
rules/one.yaml:10: rule cel: when: bad expression: unknown name 'subjct' (did you mean subject?)
rules/one.yaml:14: not YAML
rules/one.yaml:15: rule after: when.all[0].any: holds a list of conditions
rules/one.yaml:15: rule after: when.all[0].any.channel: channel is never 'emial' (did you mean email?)
rules/one.yaml:15: rule after: when.all[1].not.text: bad regex '['
rules/one.yaml:15: rule after: when.all[2].header: header needs a name
rules/one.yaml:15: rule after: when.all[2].header: match is word or part
rules/one.yaml:15: rule after: when.all[2].header: has no operator
rules/one.yaml:16: rule after: unknown template 'helo' (did you mean hello?)
rules/one.yaml:17: rule after: unknown key 'than'
rules/one.yaml:18: not YAML
rules/one.yaml:19: rule without a name: name: Field required
rules/one.yaml:20: rule without a name: unknown key 'targt' (did you mean target?)
rules/one.yaml:21: rule without a name: when.chanel: unknown field 'chanel' (did you mean channel?)
rules/one.yaml:19: rule without a name never fires (size: its conditions exclude each other)
rules/one.yaml:24: rule either: when.any[0].lnguage: unknown field 'lnguage' (did you mean language?)
rules/one.yaml:24: rule either: when.text: bad regex '('
rules/one.yaml:22: rule either: when.any[1] never holds (language: its conditions exclude each other)
rules/two.yaml:1: rule after: the name is taken (by rules/one.yaml:14)
rules/two.yaml:2: rule after: when.channel: channel is never 'emial' (did you mean email?)
rules/two.yaml:2: rule after: when.channel: channel is never 'fax'
rules/two.yaml:3: rule after: stop: Input should be a valid boolean
rules/two.yaml:4: rule after: set.a: Input should be a valid string
rules/two.yaml:8: rule too-late is never reached (rule stops always stops before it)
switchboard.yaml:3: 'company' stands here a second time (first in line 2)
switchboard.yaml:6: queues.support.busines_hours: unknown key (did you mean business_hours?)
switchboard.yaml:7: queue sales: overflows into unknown queue 'nowhere'
switchboard.yaml:9: business hours default: 'mon-fry' names no days
switchboard.yaml:11: priority.modifiers.repeat_contact: Input should be less than or equal to 1
switchboard.yaml:11: priority.modifiers.vipp: unknown key (did you mean vip?)
templates/hello.en.html:2: template hello.en: unknown variable 'nam'
templates/hello.en.txt:1: template hello.en: unknown variable 'refrence' (did you mean reference?)
templates/hello.en.txt:3: template hello.en: unknown variable 'nme'
templates/hello.en.txt:4: template hello.en: include is not available in templates
templates/hello.en.txt:4: template hello.en: there is no filter 'uper' in templates (did you mean upper?)
templates/hello.en.txt:5: template hello.en: there is no test 'stringg' in templates (did you mean string?)
templates/hello.fr.txt:1: a template begins with its subject
""".splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "switchboard.yaml").write_text(CONFIG)
    (tmp_path / "rules" / "one.yaml").write_text(ONE)
    (tmp_path / "rules" / "two.yaml").write_text(TWO)
    (tmp_path / "templates" / "hello.en.txt").write_text(HELLO)
    (tmp_path / "templates" / "hello.en.html").write_text("<p>\n{{ nam }}")
    (tmp_path / "templates" / "hello.fr.txt").write_text("Bonjour\n")
    return tmp_path


def test_every_mistake_is_told_once(folder: Path) -> None:
    tree, problems = read_tree(folder / "switchboard.yaml", "switchboard.yaml")
    with pytest.raises(ConfigError) as error:
        load_policy(folder, {key: tree[key] for key in SECTIONS if key in tree}, found=problems)
    found = list(error.value.problems)
    for expected in EXPECTED:
        told = [one for one in found if one.startswith(expected.partition(" (")[0]) and expected.rstrip(")") in one]
        assert len(told) == 1, (expected, told, found)
        found.remove(told[0])
    assert found == []


def _told(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(folder / "switchboard.yaml", environment={})
    return list(error.value.problems)


def test_mistakes_come_by_file_and_line(folder: Path) -> None:
    places = [one.split(":")[:2] for one in _told(folder)]
    assert [place[0] for place in places] == sorted(place[0] for place in places)
    lines = [int(line) for file, line in places if file == "rules/one.yaml"]
    assert lines == sorted(lines) and len(lines) > 20


def test_a_section_that_is_no_yaml_hides_nothing_and_makes_no_false_alarm(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(
        "- {name: a, quue: b}\n- {name: b, queue: sales}\n- {name: c, answer: x}\n"
    )
    (tmp_path / "switchboard.yaml").write_text(
        "# a shop\ncompany: 'X\nqueues: {sales: {}\nlog: {levl: debug}\nchannels: {chat: {site: {queue: sales}}}\n"
    )
    assert [one.partition(" (")[0] for one in _told(tmp_path)] == [
        "rules/a.yaml:1: rule a: unknown key 'quue'",
        "rules/a.yaml:3: rule c: unknown template 'x'",
        "switchboard.yaml:3: not YAML: found unexpected end of stream",
        "switchboard.yaml:4: log.levl: unknown key",
        "switchboard.yaml:4: not YAML: did not find expected ',' or '}'",
    ]


def test_a_key_twice_is_told_beside_a_section_that_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "switchboard.yaml").write_text("company: X\nlog: [\ncompany: Y\n")
    assert any("switchboard.yaml:3: 'company' stands here a second time" in one for one in _told(tmp_path))
