"""Settings, read from environment variables (https://12factor.net/config)."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from .about import DISTRIBUTION, VERSION

EMBEDDED_DATABASE = f"sqlite:///{DISTRIBUTION}.sqlite3"
"""Used without `DATABASE_URL`: a file in the working directory."""

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}


class SettingsError(Exception):
    """The environment holds a setting that cannot be used; the text names it in one line."""


def parse_database_url(text: str) -> URL:
    """Turn a `postgresql://` or `sqlite:///` URL into one with the driver the app uses.

    PostgreSQL URLs may carry libpq parameters, such as `?sslmode=require`.

    Raises:
        ValueError: The URL is of another kind, or names no SQLite file.
    """
    try:
        url = make_url(text)
        url = url.set(drivername=DRIVERS[url.drivername])
        url.get_dialect()().create_connect_args(url)  # does its driver take the rest?
        (url.host or "").encode("idna")
    except (ArgumentError, KeyError, ValueError):
        raise ValueError("must be a postgresql:// or sqlite:/// URL") from None
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise ValueError("must name a file: sqlite:///path")
    return url


def _check_database_url(value: SecretStr) -> SecretStr:
    parse_database_url(value.get_secret_value())
    return value


def _check_service_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host = (parts.hostname or "").encode("idna")
        f"{parts.path}{parts.query}".encode("ascii")
        valid = parts.scheme in {"http", "https"} and host and parts.port != 0 and " " not in value
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be http:// or https:// URLs, separated by commas")
    return value


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class Settings(BaseSettings):
    """Everything that can be set from outside.

    An empty variable counts as one that is not set.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True)

    environment_name: str = "development"
    database_url: Annotated[SecretStr, AfterValidator(_check_database_url)] | None = None
    external_services: Annotated[
        tuple[Annotated[str, AfterValidator(_check_service_url)], ...],
        NoDecode,
        BeforeValidator(_split),
    ] = ()
    """Services that have to answer before this one is ready."""
    max_body_bytes: int = Field(default=1_048_576, ge=0)
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
    ] = "INFO"
    app_version: str = VERSION
    app_revision: str = "unknown"
    """Full commit, written into the image when it is built."""
    graceful_shutdown_seconds: int = Field(default=20, ge=1)
    """How long requests in flight may take to finish after SIGTERM."""

    @field_validator("*", mode="before")
    @classmethod
    def _clean(cls, value: object) -> object:
        """Take away a line break at the end, which a file brings; refuse what is no UTF-8."""
        if not isinstance(value, str):
            return value
        try:
            return value.strip().encode().decode()
        except UnicodeError:
            raise ValueError("must be text in UTF-8") from None

    @property
    def embedded_database(self) -> bool:
        """Whether no database was named, so that the app looks after its own."""
        return self.database_url is None

    @property
    def database(self) -> URL:
        """Where the data is, with the asynchronous driver."""
        secret = self.database_url
        return parse_database_url(secret.get_secret_value() if secret else EMBEDDED_DATABASE)

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings.

        Raises:
            SettingsError: One or more variables are wrong; their values are not repeated.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = [
                f"{str(part['loc'][0]).upper()}: {part['msg'].removeprefix('Value error, ')}"
                for part in error.errors(include_input=False, include_url=False)
            ]
            raise SettingsError("; ".join(dict.fromkeys(problems))) from None
