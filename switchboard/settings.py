"""The configuration of a whole installation: settings and policy, checked wholly before anything starts.

Precedence: command line > `SWITCHBOARD_SECTION__KEY` > `SWITCHBOARD_SECTION__KEY_FILE` > the file > defaults.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from agents.settings import DeskSettings
from bus.settings import KafkaSettings
from channels import registry
from channels.settings import SmtpIngressSettings
from router.settings import RouterSettings
from rules.load import SECTIONS as POLICY_SECTIONS
from rules.load import load_policy, read_tree
from rules.model import PolicySource
from rules.problems import Problem, did_you_mean, in_order
from rules.tree import YamlMap, unread
from rules.typed import near
from runtime.http.settings import HttpSettings
from runtime.logs import LogSettings
from schemas.base import Config
from schemas.errors import ConfigError
from store.settings import BlobSettings, StoreSettings
from switchboard.environment import overlay

DEFAULT_FILE = "switchboard.yaml"


class Settings(Config):
    """Everything that is read at start. Each section belongs to the room that it configures."""

    version: Literal[1] = 1
    data_dir: Path = Path("data")
    http: HttpSettings = HttpSettings()
    smtp_ingress: SmtpIngressSettings = SmtpIngressSettings()
    kafka: KafkaSettings = KafkaSettings()
    store: StoreSettings = StoreSettings()
    blobs: BlobSettings = BlobSettings()
    router: RouterSettings = RouterSettings()
    desk: DeskSettings = DeskSettings()
    log: LogSettings = LogSettings()


KNOWN = frozenset({*Settings.model_fields, *POLICY_SECTIONS, "channels"})
"""The sections of a configuration."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """`channels`: channel → account → that channel's settings."""

    path: Path
    settings: Settings
    policy: PolicySource
    channels: Mapping[str, Mapping[str, Any]]
    given: frozenset[str] = frozenset()
    """Dotted keys that came from the command line or the environment: they are meant for this process alone."""

    @property
    def data_dir(self) -> Path:
        return (self.path.parent / self.settings.data_dir).resolve()

    @property
    def public_url(self) -> str:
        return self.settings.http.public_url or f"http://{self.settings.http.bind}"


def load(
    path: Path,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
    with_policy: bool = True,
) -> Configuration:
    """Read and check everything. `overrides` are dotted keys from the command line (`kafka.brokers`). Without the
    policy, for whoever needs the store alone, its mistakes do not matter, and it is an empty one.

    Raises ConfigError with every mistake at once, each with its place.
    """
    name = path.name
    tree, form = read_tree(path, name)
    if tree is None and not form:
        tree = YamlMap()
        tree.lines = {}
    if not isinstance(tree, YamlMap):
        raise ConfigError([str(problem) for problem in form] or [f"{name}: must be a mapping of sections"])
    problems = [str(problem) for problem in form]
    places = overlay(tree, os.environ if environment is None else environment, overrides or {}, KNOWN, problems)
    problems += map(str, unknown_sections(tree, name, places))
    settings = Settings()
    try:
        settings = Settings.model_validate(
            {k: v for k, v in tree.items() if k in Settings.model_fields and v is not None and not unread(v)}
        )
    except ValidationError as error:
        problems += _translate(error, Settings, (), tree, name, places)
    channels = dict(_channels(tree, name, places, problems))
    policy = PolicySource()
    try:
        policy = load_policy(path.parent, {k: tree[k] for k in POLICY_SECTIONS if k in tree}, file=name)
    except ConfigError as error:
        problems += error.problems if with_policy else []
    problems += _queues_of_accounts(tree, name, places)
    if problems:
        told = in_order(problems)
        raise ConfigError(told, hint=f"{len(told)} mistakes; nothing was started")
    return Configuration(path.resolve(), settings, policy, channels, frozenset(places))


def unknown_sections(
    tree: Mapping[str, Any], name: str, places: Mapping[str, str] = MappingProxyType({})
) -> list[Problem]:
    """Misspelt sections of a configuration."""
    return [
        Problem(_place(tree, (key,), name, places), f"unknown section {key!r}", did_you_mean(key, KNOWN))
        for key in tree
        if key not in KNOWN
    ]


def _channels(
    tree: YamlMap, name: str, places: Mapping[str, str], problems: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    section = tree.get("channels") or {}
    if not isinstance(section, dict):
        problems.append(f"{_place(tree, ('channels',), name, places)}: channels must map a channel to its accounts")
        return
    for channel, accounts in section.items():
        try:
            known = registry.channel(channel)
        except ConfigError as error:
            place = _place(tree, ("channels", channel), name, places)
            problems += [f"{place}: {problem} ({error.hint})" for problem in error.problems]
            continue
        found: dict[str, Any] = {}
        for account, values in _items(accounts):
            try:
                found[account] = known.settings.model_validate(values or {})
            except ValidationError as error:
                problems += _translate(error, known.settings, ("channels", channel, account), tree, name, places)
        for conflict in known.conflicts(found):
            path = ("channels", channel, *conflict.partition(":")[0].split("."))
            problems.append(f"{_place(tree, path, name, places)}: channels.{channel}.{conflict}")
        yield channel, found


def _queues_of_accounts(tree: YamlMap, name: str, places: Mapping[str, str]) -> Iterator[str]:
    """Accounts that name a queue which is not there: looked up as written, so that other mistakes hide none."""
    written = tree.get("queues")
    if isinstance(written, YamlMap) and written.incomplete:
        return  # the queue may be among those that could not be read
    queues = set(written) if isinstance(written, dict) else set(PolicySource().queues)
    for channel, accounts in _items(tree.get("channels")):
        for account, settings in _items(accounts):
            queue = settings.get("queue") if isinstance(settings, dict) else None
            if isinstance(queue, str) and queue not in queues:
                path = ("channels", channel, account, "queue")
                problem = f"{'.'.join(path)}: there is no queue {queue!r}"
                yield str(Problem(_place(tree, path, name, places), problem, did_you_mean(queue, queues)))


def _items(tree: Any) -> list[tuple[str, Any]]:
    return list(tree.items()) if isinstance(tree, dict) else []


def _translate(
    error: ValidationError,
    model: type[BaseModel],
    prefix: tuple[str, ...],
    tree: Any,
    name: str,
    places: Mapping[str, str],
) -> list[str]:
    problems = []
    for one in error.errors(include_url=False, include_input=False):
        path = (*prefix, *one["loc"])
        where = ".".join(str(part) for part in path)
        what, hint = one["msg"].removeprefix("Value error, "), ""
        if one["type"] == "extra_forbidden":
            what, hint = "unknown key", near(model, one["loc"])
        problems.append(str(Problem(_place(tree, path, name, places), f"{where}: {what}", hint)))
    return problems


def _place(tree: Any, path: tuple[Any, ...], name: str, places: Mapping[str, str]) -> str:
    """Where the deepest part of the path that is set was set."""
    key = ".".join(str(part) for part in path)
    if key in places:
        return places[key]
    line = 0
    for part in path:
        if isinstance(tree, YamlMap) and part in tree:
            line, tree = tree.lines.get(part) or line, tree[part]
        else:
            break
    return f"{name}:{line}" if line else name
