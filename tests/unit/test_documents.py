"""The documents are true: code and rules in them run, links lead somewhere, and they speak of the product alone."""

import re
import subprocess
from pathlib import Path

import pytest

from router.core.triage import decide_safely
from rules.model import PolicySource
from rules.parse import Reader
from rules.policy import compile_policy
from rules.tree import parse_yaml
from schemas.decision import Facts
from tests.kit.command_line import verbs
from tests.kit.contacts import NOW, email
from tests.kit.policies import accepted, example_policy

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

METERED = ("agents", "bus", "channels", "ops", "router", "store", "switchboard")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_rule_that_contributing_adds_does_what_it_says() -> None:
    (rule,) = [block for block in blocks(ROOT / "CONTRIBUTING.md", "yaml") if "name: warranty" in block]
    tree, problems = parse_yaml(rule, "rules/40-warranty.yaml")
    assert not problems
    reader = Reader("rules/40-warranty.yaml")
    found = reader.rules(tree)
    assert not reader.problems
    source = example_policy().source
    policy = compile_policy(PolicySource.model_validate({**dict(source), "rules": (*source.rules, *found)}))
    interaction = accepted(email(subject="Garantie", text="Habe ich noch Garantie auf die Lampe?"))
    decision = decide_safely(policy, interaction, Facts(), NOW)
    assert decision.queue == "support"
    assert "warranty" in decision.tags
    assert decision.tier == "P2"


def test_the_channel_that_contributing_adds_is_the_one_that_the_tests_run() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "examples/suggestion_box/suggestion_box.py" in text
    assert "tests/contract/test_suggestion_box.py" in text


def test_every_metric_is_documented_and_every_documented_one_is_there() -> None:
    made = re.compile(r"\b(counter|gauge|histogram)\(\s*\"([a-z_]+)\"")
    rooms = (p for p in ROOT.glob("*/**/*.py") if p.relative_to(ROOT).parts[0] in METERED)
    found = {match.groups() for path in rooms for match in made.finditer(path.read_text(encoding="utf-8"))}
    names = {f"switchboard_{name.removesuffix('_total')}{'_total' * (kind == 'counter')}" for kind, name in found}
    assert names == set(re.findall(r"switchboard_[a-z_]+", (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_command_in_the_documents_exists(path: Path) -> None:
    commands = verbs()
    for line in re.findall(
        r"(?:^|`|\$ )switchboard ((?:[a-z][a-z-]+ ?)+)", path.read_text(encoding="utf-8"), re.MULTILINE
    ):
        verb, *rest = line.split()
        assert verb in commands, line
        if rest and commands[verb]:
            assert rest[0] in commands[verb], line


def test_the_files_named_in_the_readmes_table_exist() -> None:
    for path in re.findall(r"tests/[a-z_/]+\.py", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_the_repository_speaks_of_the_product_alone() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    forbidden = re.compile("/" + "work/|DESIGN" + r"\.md|\.\./" + "shared|pypi" + r"\.org|registry\." + "npmjs")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".svg", ".json") or not path.is_file():
            continue
        assert not forbidden.search(path.read_text(encoding="utf-8", errors="replace")), name
