"""Web forms: a page or your own site's form in, a signed status page out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from channels.port import Channel, Context, Parts
from channels.web_form.settings import FormDefinition, WebFormSettings
from schemas.errors import ConfigError


def _build(context: Context, accounts: Mapping[str, Any]) -> Parts:
    if not accounts:
        return Parts()
    # Here, so that what only reads the settings need not load a web framework.
    from channels.web_form.http import make_router
    from channels.web_form.sender import StatusPageSender
    from runtime.http.static import static_files

    forms = {name: load_form(settings, context.config_dir) for name, settings in accounts.items()}
    return Parts(
        outbound=[StatusPageSender(context.store, context.clock)],
        routers=[make_router(context, accounts, forms)],
        pages={"/forms-static": static_files("channels.web_form", "static")},
    )


def load_form(settings: WebFormSettings, config_dir: Path) -> FormDefinition:
    """The form's definition. Raises ConfigError with every mistake in its file."""
    if isinstance(settings.form, FormDefinition):
        return settings.form
    path = config_dir / settings.form
    try:
        return FormDefinition.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except ValidationError as error:
        raise ConfigError(
            [f"{settings.form}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([f"{settings.form}: {error}"]) from error


CHANNEL = Channel(name="web_form", settings=WebFormSettings, build=_build)
