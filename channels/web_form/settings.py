"""One web form: its fields, inline or in a file of their own."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.base import Config


class FieldSettings(Config):
    """One field of a form."""

    label: str = ""
    type: Literal["text", "email", "textarea", "choice"] = "text"
    required: bool = False
    max: int = Field(default=4096, ge=1, le=65536)
    choices: tuple[str, ...] = ()


class FormDefinition(Config):
    """What a form asks for. `name`, `email`, `subject` and `message` mean what they say to the router."""

    title: str = "Contact us"
    fields: dict[str, FieldSettings] = Field(
        default_factory=lambda: {
            "name": FieldSettings(label="Your name"),
            "email": FieldSettings(label="Your email address", type="email"),
            "message": FieldSettings(label="Your message", type="textarea", required=True, max=8000),
        },
        min_length=1,
        max_length=64,
    )
    honeypot: str | None = None
    """A field that people do not see; whoever fills it in is a machine."""


class WebFormSettings(Config):
    form: str | FormDefinition = FormDefinition()
    """A path to a YAML file (relative to the configuration), or the definition itself."""
    queue: str | None = None
    origins: tuple[str, ...] = ()
    """Other websites whose pages may post here."""

    @model_validator(mode="after")
    def _path(self) -> "WebFormSettings":
        if isinstance(self.form, str) and not self.form.endswith((".yaml", ".yml")):
            raise ValueError("form: a path to a .yaml file, or the fields themselves")
        return self
