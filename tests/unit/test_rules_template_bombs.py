"""Templates that would grow beyond all bounds: refused, or stopped before the memory is taken."""

import json
import subprocess
import sys

import pytest

from rules.model import TemplateText
from rules.sandbox import LIST_ITEMS, SOURCE_CHARS
from rules.templates import OUTPUT_CHARS, TemplateError, compile_template, problems_of, render

BOMBS = [
    "{{ attributes.long | replace('a', attributes.long) }}",
    "{{ attributes.long * 100000 }}",
    "{{ 'a' | center(1000000000) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ attributes.long | join(attributes.long) }}",
    "{{ attributes.long | join(d=attributes.long) }}",
    "{{ attributes.long | join(attributes.long) | join(attributes.long) | length }}",
    "{{ attributes.long | batch(1, attributes.long) }}",
    "{{ attributes.long | indent(1000000000) }}",
    "{{ attributes.long | wordwrap(1) }}",
    "{{ attributes.long" + " | urlencode" * 400 + " | length }}",
    "{{ '&' | escape" + " | string | escape | urlencode" * 300 + " }}",
    "{{ (" + " ~ ".join(["attributes.long"] * 2000) + ") | length }}",
    "{{ " + " + ".join(["attributes.long"] * 2000) + " }}",
    "{{ (" + " ~ ".join(["attributes.long"] * 90) + ") | length }}",
    "{{ (" + " + ".join(["attributes.long"] * 90) + ") | length }}",
    "{% set x %}{{ subject }}{% endset %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40 + "{{ x }}",
    "{% set x = subject %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
    "{% set x = subject %}" + "{% set x = {'a': x, 'b': x} %}" * 40 + "{{ x | length }}{{ x }}",
    "{% set x = subject %}" + "{% set x = x | join(x) %}" * 40 + "{{ x | length }}",
    "{% set x = subject %}" + "{% set x = x ~ x %}" * 40 + "{{ x | length }}",
    "{% set x = subject %}" + "{% set x = x + x %}" * 40 + "{{ x | length }}",
    "{% with x = subject %}" + "{% with x = x ~ x %}" * 40 + "{{ x | length }}" + "{% endwith %}" * 41,
    "{% filter upper %}{% for a in attributes %}{{ attributes.long }}{% endfor %}{% endfilter %}",
    "{% for a in attributes.long %}{% for b in attributes.long %}{% endfor %}{% endfor %}",
    "{% for a in attributes %}{% for b in attributes.long %}{% for c in subject %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in [" + "1," * 30000 + "] %}{% for b in [" + "1," * 200 + "] %}{% endfor %}{% endfor %}",
    "{% for a in attributes %}{% for b in attributes %}{{ attributes.long }}{% endfor %}{% endfor %}",
    "{{ 5 | round(-1000000000) }}",
    "{{ 5.5 | round(1000000000, 'ceil') }}",
    "{{ 5.5 | round(precision=1000000000, method='floor') }}",
    "{{ 10 ** 1000000000 }}",
    "{{ " + "9" * 60000 + " }}",
    "x" * (SOURCE_CHARS + 1),
    "{{ attributes.long }}" * 3000,
]  # fmt: skip
MEMORY = 64 * 1024 * 1024

CHILD = """
import json, resource, sys
from rules.model import TemplateText
from rules.templates import TemplateError, compile_template, render
at_start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
fields = {"subject": "s" * 998, "attributes": {"long": "a" * 4096, **{f"n{n}": "" for n in range(99)}}}
told = []
for source in json.load(sys.stdin):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        found = f"printed {len(render(compile_template('t', {'': TemplateText(text=source)}), None, fields).text)}"
    except TemplateError as error:
        found = str(error)
    told.append([found, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024])
json.dump(told, sys.stdout)
"""


def test_a_bomb_is_refused_or_stopped_and_takes_little_memory() -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD], input=json.dumps(BOMBS), capture_output=True, text=True, timeout=120, check=False
    )
    assert child.returncode == 0, child.stderr[-2000:]
    for source, (found, memory) in zip(BOMBS, json.loads(child.stdout), strict=True):
        assert not found.startswith("printed") and "emory" not in found, (source[:100], found)
        assert memory < MEMORY, (source[:100], found, memory)


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("{% for name in attributes %}{{ name }}: {{ attributes[name] }}; {% endfor %}", "a: 1; b: 2;"),
        ("{{ attributes | join(', ') }}", "a, b"),
        ("{{ 'Dear ' ~ customer_name + '!' }}", "Dear Ann!"),
        ("{{ 3.14159 | round(2) }} {{ 2.1 | round(0, 'ceil') | int }}", "3.14 3"),
        ("{% set name = customer_name | upper %}{{ name }}", "ANN"),
        ("{% for day in ['Mon', 'Tue'] %}{{ day }}{% if not loop.last %}, {% endif %}{% endfor %}", "Mon, Tue"),
        ("{% with who = customer_name %}{{ who ~ '.' }}{% endwith %}", "Ann."),
        ("{% if account in ('shop', 'sales') %}yes{% endif %}", "yes"),
    ],
)
def test_what_answers_need_still_works(source: str, printed: str) -> None:
    fields = {"attributes": {"a": "1", "b": "2"}, "customer_name": "Ann", "account": "shop"}
    template = compile_template("t", {"": TemplateText(text=source)})
    assert render(template, None, fields).text.strip() == printed


def test_attributes_of_the_largest_size_are_printed_by_name() -> None:
    wide = {f"n{n}": "a" * 4096 for n in range(100)}
    template = compile_template("t", {"": TemplateText(text="{{ attributes | length }} {{ attributes.n1 | upper }}")})
    assert len(render(template, None, {"attributes": wide}).text) == 4101
    with pytest.raises(TemplateError, match="prints too much"):
        render(compile_template("t", {"": TemplateText(text="{{ attributes }}")}), None, {"attributes": wide})
    assert sum(map(len, wide.values())) > OUTPUT_CHARS


def test_what_is_refused_is_told_before_it_runs() -> None:
    for source, what in (
        ("{% set x %}a{% endset %}", "blocks of set"),
        ("{% for a in subject %}{% endfor %}", "a loop goes over attributes"),
        ("{{ [subject, subject] }}", "fixed texts only"),
        (f"{{% for a in [{'1,' * (LIST_ITEMS + 1)}] %}}{{% endfor %}}", "at most 100 items"),
    ):
        assert [each.what for each in problems_of(TemplateText(text=source)) if what in each.what], source
