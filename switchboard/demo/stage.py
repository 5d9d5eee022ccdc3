"""The demo's installation: the shipped example configuration in a folder of its own, on free loopback ports."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bus.brokers.probe import free_port, is_free
from switchboard.demo.cast import SHOP
from switchboard.starter import example_folder


def always_open() -> dict[str, Any]:
    return {"timezone": "Europe/Berlin", "hours": {"mon-sun": ["00:00-24:00"]}}


@dataclass(frozen=True, slots=True)
class Stage:
    folder: Path
    config: Path
    http_port: int
    smtp_port: int

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def calls(self) -> Path:
        return self.folder / "calls"

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def set_up(*, port: int, relay_port: int, folder: Path | None = None, brokers: str | None = None) -> Stage:
    """Write the configuration. `relay_port` is where mail to customers goes. `port` is used if it is free."""
    folder = folder or Path(tempfile.mkdtemp(prefix="switchboard-demo-"))
    shutil.copytree(example_folder(), folder, dirs_exist_ok=True)
    (folder / "calls").mkdir(exist_ok=True)
    stage = Stage(folder, folder / "switchboard.yaml", _port(port), _port(0))
    tree: dict[str, Any] = yaml.safe_load(stage.config.read_text(encoding="utf-8"))
    tree["http"] = {"bind": f"127.0.0.1:{stage.http_port}", "public_url": stage.http}
    tree["smtp_ingress"] = {"bind": f"127.0.0.1:{stage.smtp_port}"}
    tree["log"] = {"level": "error", "format": "console"}
    if brokers:
        tree["kafka"] = {**tree.get("kafka", {}), "brokers": brokers}
    # The demo looks the same at any hour of any day.
    tree["desk"] = {**tree["desk"], "undo": "0s"}
    tree["business_hours"] = {name: always_open() for name in tree["business_hours"]}
    tree["auto_answer"] = {**tree["auto_answer"], "per_domain_per_hour": 200}
    account = tree["channels"]["email"]["support"]
    account.update(address=SHOP, smtp={"host": "127.0.0.1", "port": relay_port, "tls": "none"})
    tree["channels"]["chat"]["website"]["origins"] = [stage.http]
    tree["channels"]["phone_log"]["calls"]["drop_folder"] = str(stage.calls)
    stage.config.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return stage


def _port(wanted: int) -> int:
    return wanted if wanted and is_free(wanted) else free_port()
