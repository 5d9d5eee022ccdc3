"""What the `rules` commands are given: a policy or a draft of its rules, a customer, a mail or an interaction."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from channels.email.parser.fields import untagged
from channels.email.settings import EmailSettings, own_addresses
from rules.cases import KnownFacts, moment
from rules.load import SECTIONS, load_policy, read_tree, read_yaml
from rules.model import PolicySource
from rules.policy import Policy
from rules.tree import YamlMap
from rules.typed import typed_problems
from schemas.decision import Facts
from schemas.errors import ConfigError, NotFound
from schemas.interaction import Contact, EmailContent, Interaction, RawPayload
from switchboard.cli.app import configuration, options
from switchboard.settings import KNOWN, unknown_sections

Draft = Annotated[
    Path | None,
    typer.Option("--rules", "-r", metavar="DIR", help="Another configuration's folder, or a folder or file of rules."),
]
_SHORT = {"tier": "customer_tier", "tags": "customer_tags", "segment": "customer_segment"}
SKIPPED = (".", "README")


def policy_from(path: Path | None) -> PolicySource:
    """The configuration's policy (None), or a draft: another configuration (its folder or file), or a folder or file
    of rules that stand for those of the configuration. Raises ConfigError with every mistake, NotFound."""
    if path is None:
        return configuration().policy
    if not path.exists():
        raise NotFound(f"{path}: there is no such file or folder")
    whole = path / "switchboard.yaml" if path.is_dir() else path
    tree, problems = read_tree(whole, whole.name) if whole.is_file() else (None, [])
    if isinstance(tree, dict):
        if not KNOWN & set(tree):
            words = "this is no configuration, and a file of rules is a list"
            raise ConfigError(
                [*map(str, problems), f"{whole.name}: {words}"], hint="begin each rule with a dash: - name: …"
            )
        problems += unknown_sections(tree, whole.name)
        sections = {key: tree[key] for key in SECTIONS if key in tree}
        return load_policy(whole.parent, sections, file=whole.name, found=problems)
    if problems and path.is_dir():
        raise ConfigError([str(problem) for problem in problems])
    config = options.config
    mine, problems = read_tree(config, config.name) if config.exists() else ({}, [])
    mine = mine if isinstance(mine, dict) else {}
    sections = {key: mine[key] for key in SECTIONS if key in mine and key != "rules"}
    own = mine.get("rules") if isinstance(mine.get("rules"), dict) else {}
    inner = path / "rules" if (path / "rules").is_dir() else path
    folders = {"path": str(inner)}
    beside = [
        path / "templates",
        path.parent / "templates",
        config.parent / str((own or {}).get("templates", "templates/")),
    ]
    templates = next((folder for folder in beside if folder.is_dir()), None)
    if templates is not None:
        folders["templates"] = str(templates)
    return load_policy(Path(), {**sections, "rules": folders}, file=config.name, found=problems)


def facts_from(path: Path | None) -> Facts:
    """A customer as YAML or JSON: tier, tags, segment, known, contacts_7d, … Raises ConfigError, NotFound."""
    if path is None:
        return Facts()
    if not path.is_file():
        raise NotFound(f"{path}: there is no such file")
    tree = read_yaml(path, str(path))
    if not isinstance(tree, dict):
        raise ConfigError([f"{path}: a customer is a mapping, such as 'tier: gold'"])
    lines = tree.lines if isinstance(tree, YamlMap) else {}
    values = YamlMap({"known": True, **{_SHORT.get(str(key), str(key)): value for key, value in tree.items()}})
    values.lines = {"known": 1, **{_SHORT.get(str(key), str(key)): line for key, line in lines.items()}}
    try:
        return Facts.model_validate(KnownFacts.model_validate(dict(values)).model_dump())
    except ValidationError as error:
        found = typed_problems(error, KnownFacts, values, file=str(path), line=1, label="")
        raise ConfigError(
            [str(problem) for problem in found], hint="tier, tags and segment may be said shortly"
        ) from None


def moment_from(written: str | None) -> datetime | None:
    """An ISO moment; without a zone it is UTC. Raises ConfigError."""
    if written is None:
        return None
    try:
        return moment(written)
    except ValueError as error:
        raise ConfigError([str(error)]) from None


def files_of(paths: list[Path]) -> list[Path]:
    """Files, and those in folders. Raises NotFound."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path}: there is no such file")
        inner = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(SKIPPED))
        if path.is_dir() and not inner:
            raise NotFound(f"{path}: there is no file in it")
        found += inner if path.is_dir() else [path]
    return found


def mail_accounts() -> Mapping[str, EmailSettings]:
    """Of the configuration, if there is one. Raises ConfigError."""
    return configuration(with_policy=False).channels.get("email", {}) if options.config.exists() else {}


def interaction_from(
    path: Path, policy: Policy, at: datetime | None, accounts: Mapping[str, EmailSettings]
) -> Interaction:
    """A mail, or an interaction as JSON, as if it had just been accepted. Raises ConfigError."""
    raw = path.read_bytes()
    if raw.lstrip()[:1] != b"{":
        now = at or datetime.now(UTC)
        return as_if_accepted(_mail(raw, now, accounts), policy, now, str(path), len(raw))
    try:
        found = Interaction.model_validate_json(raw)
    except ValidationError as error:
        problems = [f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ConfigError(problems, hint="an interaction as JSON has the fields of its published schema") from None
    return found.model_copy(update={"policy_version": policy.version})


def _mail(raw: bytes, now: datetime, accounts: Mapping[str, EmailSettings]) -> Contact:
    """The mail as the account would read it to which it is addressed, or the only one that there is."""
    from channels.email.parser.parse import parse  # most commands read no mail

    own = own_addresses(accounts)
    found = parse(raw, account="file", received_at=now)
    content = found.content
    assert isinstance(content, EmailContent)
    written = {*content.to, *content.cc, *content.delivered_to}
    named = {*written, *map(untagged, written)}
    fitting = [name for name, settings in accounts.items() if named & set(settings.addresses)] or list(accounts)
    if not accounts or (len(fitting) > 1 and not named & set(own)):
        return found
    settings = accounts[fitting[0]]
    known: dict[str, Any] = {"queue": settings.queue, "own_addresses": own, **settings.told_to_parser()}
    if not {"to", "cc", "received"} & {field.lower() for field, _ in content.headers}:  # written by hand, for a try
        known["envelope_to"] = [settings.address]
    return parse(raw, account=fitting[0], received_at=now, **known)


def as_if_accepted(
    contact: Contact, policy: Policy, now: datetime, identity: str, size: int, **more: Any
) -> Interaction:
    values: dict[str, Any] = {name: getattr(contact, name) for name in Contact.model_fields}
    fixed: dict[str, Any] = {
        "id": identity,
        "conversation_id": identity,
        "reference": policy.source.conversations.reference.format(number=1042),
        "seq": 1,
        "round": 1,
        "occasion": "first",
        "accepted_at": now,
        "customer_id": "file",
        "policy_version": policy.version,
        "digest": "",
        "raw": RawPayload(media_type="message/rfc822", size=size, sha256="") if size else None,
        "traceparent": None,
    }
    return Interaction(**{**values, **fixed, **more})
