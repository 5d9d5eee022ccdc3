"""Settings: every mistake at once with its place; environment, files and flags over the file."""

import os
import shutil
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from switchboard.house import refuse_impossible
from switchboard.lock import FolderLock
from switchboard.secret import load_secret
from switchboard.settings import load
from switchboard.starter import write_starter
from tests.kit.policies import EXAMPLE


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE, tmp_path / "c")
    return tmp_path / "c" / "switchboard.yaml"


def problems(path: Path, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(path, environment=environment or {})
    return refused.value.problems


def test_the_example_is_complete_and_right(config: Path) -> None:
    found = load(config, environment={})
    assert set(found.channels) == {"email", "chat", "web_form", "phone_log"}
    assert found.settings.kafka.brokers == "embedded"
    assert found.data_dir == config.parent / "data"
    assert found.policy.version.startswith("p-")


def test_every_mistake_at_once_with_its_line(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    text = text.replace("partitions: 6", "partitions: 0").replace("default_queue: general", "default_queue: nowhere")
    text = text.replace("queue: support\n      # The relay", "queue: suport\n      # The relay")
    text = text.replace("level: info", "level: loud").replace("port: 587", "port: 99999")
    text += "\nnonsense: 1\n"
    config.write_text(text, encoding="utf-8")
    found = problems(config)
    for expected in (
        "kafka.partitions",
        "default_queue",
        "there is no queue 'suport' (did you mean support?)",
        "log.level",
        "channels.email.support.smtp.port",
        "unknown section 'nonsense'",
    ):
        assert any(expected in problem for problem in found), (expected, found)
    assert sum("switchboard.yaml:" in problem for problem in found) >= 5


def test_precedence_flag_over_environment_over_file_of_a_secret_over_file(config: Path, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("from: file\n", encoding="utf-8")
    environment = {
        "SWITCHBOARD_KAFKA__BROKERS": "one:9092,two:9092",
        "SWITCHBOARD_CHANNELS__EMAIL__SUPPORT__SMTP__PASSWORD_FILE": str(secret),
        "SWITCHBOARD_CHANNELS__EMAIL__SUPPORT__SMTP__USERNAME": "support",
        "SWITCHBOARD_DEFAULT_QUEUE": "support",
        "SWITCHBOARD_LOG__LEVEL": "warning",
        "SWITCHBOARD_TOKEN": "another program's business",
    }
    found = load(config, environment=environment, overrides={"log.level": "debug"})
    assert found.settings.kafka.brokers == "one:9092,two:9092"
    assert found.channels["email"]["support"].smtp.password.get_secret_value() == "from: file"
    assert "from" not in repr(found.channels["email"]["support"])
    assert found.policy.default_queue == "support"
    assert found.settings.log.level == "debug"


def test_a_mistake_in_the_environment_names_the_variable(config: Path) -> None:
    found = problems(config, {"SWITCHBOARD_KAFKA__PARTITIONS": "many", "SWITCHBOARD_HTTP__BIND_FILE": "/nowhere"})
    assert any(problem.startswith("SWITCHBOARD_KAFKA__PARTITIONS: kafka.partitions") for problem in found)
    assert any(problem.startswith("SWITCHBOARD_HTTP__BIND_FILE: cannot read") for problem in found)


def test_a_misspelt_variable_is_no_other_programs_business(config: Path) -> None:
    variables = {
        "SWITCHBOARD_STOER__URL": "sqlite:///x",
        "SWITCHBOARD_QUEUS__SUPPORT__SKILLS__GERMAN_FILE": "/x",
        "SWITCHBOARD_STORE__ULR": "sqlite:///x",
        "SWITCHBOARD_SERVICE_HOST": "10.0.0.1",  # Kubernetes
    }
    assert problems(config, variables) == [
        "SWITCHBOARD_QUEUS__SUPPORT__SKILLS__GERMAN_FILE: unknown section 'queus' (did you mean queues?)",
        "SWITCHBOARD_STOER__URL: unknown section 'stoer' (did you mean store?)",
        "SWITCHBOARD_STORE__ULR: store.ulr: unknown key (did you mean url?)",
    ]


@pytest.mark.parametrize("text", ["- a list", "\x00", "a: [", "version: 2\n"])
def test_what_is_no_configuration_says_so(config: Path, text: str) -> None:
    config.write_text(text, encoding="utf-8")
    assert problems(config)


def test_roles_apart_need_postgresql_and_a_cluster(config: Path) -> None:
    found = load(config, environment={})
    with pytest.raises(ConfigError, match="unknown roles: cook"):
        refuse_impossible(found, ["router", "cook"], whole=False)
    with pytest.raises(ConfigError) as refused:
        refuse_impossible(found, ["router"], whole=False)
    assert len(refused.value.problems) == 2
    refuse_impossible(found, [], whole=True)


def test_init_writes_the_example_and_overwrites_nothing(tmp_path: Path) -> None:
    written = write_starter(tmp_path / "new")
    assert tmp_path / "new" / "switchboard.yaml" in written
    load(tmp_path / "new" / "switchboard.yaml", environment={})
    with pytest.raises(ConfigError, match="exists already"):
        write_starter(tmp_path / "new")


def test_the_key_is_made_once_for_our_eyes_only(tmp_path: Path) -> None:
    key = load_secret(tmp_path)
    assert len(key) == 32
    assert load_secret(tmp_path) == key
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "secret.key").chmod(0o644)
    with pytest.raises(ConfigError, match="others can read"):
        load_secret(tmp_path)


def test_two_main_processes_never_share_a_data_folder(tmp_path: Path) -> None:
    one, two = FolderLock(tmp_path), FolderLock(tmp_path)
    one.acquire()
    with pytest.raises(ConfigError, match=str(os.getpid())):
        two.acquire()
    one.release()
    two.acquire()
    two.release()


def test_the_examples_commented_mailbox_is_right(config: Path) -> None:
    lines = config.read_text(encoding="utf-8").splitlines()
    begin = lines.index("      # imap:")
    end = next(n for n in range(begin, len(lines)) if not lines[n].startswith("      #"))
    lines[begin:end] = [line.replace("# ", "", 1) for line in lines[begin:end]]
    config.write_text("\n".join(lines), encoding="utf-8")
    imap = load(config, environment={}).channels["email"]["support"].imap
    assert imap.oauth is not None
    assert set(type(imap).model_fields) - imap.model_fields_set == {"tls", "ca_file", "password", "move_to"}
    password = {"SWITCHBOARD_CHANNELS__EMAIL__SUPPORT__IMAP__PASSWORD": "secret"}
    assert any("either a password" in problem for problem in problems(config, password))


def test_two_accounts_with_one_address_or_one_mailbox_are_told_apart_from_none(config: Path) -> None:
    imap = "imap: {host: h, username: u, password: p}"
    accounts = f"{{a: {{address: a@b.example, {imap}}}, c: {{address: c@b.example, aliases: [A@b.example], {imap}}}}}"
    config.write_text(f"channels:\n  email: {accounts}\n", encoding="utf-8")
    found = problems(config)
    assert any("channels.email.c.address: a@b.example is the account a's already" in problem for problem in found)
    assert any("channels.email.c.imap: the account a reads INBOX" in problem for problem in found)
