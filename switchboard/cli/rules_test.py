"""`rules test`: the behaviour cases."""

from pathlib import Path
from typing import Annotated

import typer

from rules import cases
from rules.policy import Policy, compile_policy
from rules.problems import in_order
from schemas.errors import ConfigError, NotFound
from switchboard.cli.app import options, quiet_logs
from switchboard.cli.exits import FINDINGS, USAGE
from switchboard.cli.output import Json, emit, err, out
from switchboard.cli.rules_cases import cases_in, differences
from switchboard.cli.rules_inputs import Draft, files_of, policy_from


def run_cases(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CASES…]", help="Files or folders; default: cases/ beside the rules."),
    ] = None,
    rules: Draft = None,
    json: Json = False,
) -> None:
    """Run the behaviour cases: given this interaction, expect this decision."""
    quiet_logs()
    policy, placed = _policy_and_cases(rules, _case_files(paths, rules), json=json)
    failed, ran = 0, len(placed)
    for where, case in placed:
        wrong = differences(policy, case)
        failed += bool(wrong)
        if json:
            emit([{"case": case.case, "place": where, "ok": not wrong, "differences": wrong}])
        elif wrong:
            out().print(f"✗ {case.case} ({where})", markup=False, highlight=False)
            for line in wrong:
                out().print(f"    {line}", markup=False, highlight=False)
    if not json:
        err.print(f"{ran} cases, {failed} failed" if failed else f"[green]✓[/] {ran} cases")
    if failed:
        raise typer.Exit(FINDINGS)


def _policy_and_cases(rules: Path | None, files: list[Path], *, json: bool) -> tuple[Policy, list[cases.Placed]]:
    """Both whole, before any case runs. Raises ConfigError with the mistakes of both, NotFound without a case."""
    source, placed, problems = None, list[cases.Placed](), list[str]()
    try:
        source = policy_from(rules)
    except ConfigError as error:
        problems += error.problems
    try:
        placed = cases_in(files)
    except ConfigError as error:
        problems += error.problems
    if source is None or problems:
        if json:
            emit({"problem": problem} for problem in in_order(problems))
            raise typer.Exit(USAGE)
        raise ConfigError(in_order(problems), hint="no case was run")
    if not placed:
        raise NotFound("the files hold no case", hint=f"write some in {files[0]}" if files else "")
    return compile_policy(source), placed


def _case_files(paths: list[Path] | None, rules: Path | None) -> list[Path]:
    if paths:
        return files_of(paths)
    folder = (rules if rules.is_dir() else rules.parent) if rules else options.config.parent
    beside = [folder / "cases", folder / "rules" / "cases", folder.parent / "cases"][: 3 if rules else 2]
    found = [path for place in beside if place.is_dir() for path in sorted(place.rglob("*.y*ml"))]
    found += sorted({*folder.glob("*.cases.y*ml"), *folder.glob("rules/*.cases.y*ml")})
    if not found:
        raise NotFound("there are no behaviour cases", hint=f"write them in {folder / 'cases'}, or name their files")
    return found
