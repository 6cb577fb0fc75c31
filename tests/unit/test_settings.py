"""Settings from the environment."""

import pytest

from python_web_template.database import connect_arguments
from python_web_template.settings import Settings, SettingsError, parse_database_url

pytestmark = pytest.mark.usefixtures("default_settings")


def test_nothing_configured() -> None:
    settings = Settings.from_environment()

    assert settings.environment_name == "development"
    assert settings.embedded_database
    assert settings.database.render_as_string() == "sqlite+aiosqlite:///python-web-template.sqlite3"
    assert settings.external_services == ()
    assert settings.app_revision == "unknown"


def test_everything_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT_NAME", "staging")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@db/app?sslmode=require")
    monkeypatch.setenv("EXTERNAL_SERVICES", " https://a.example/health, http://b.example:8080 ,")
    monkeypatch.setenv("MAX_BODY_BYTES", "10")
    monkeypatch.setenv("LOG_LEVEL", "warning")
    monkeypatch.setenv("APP_VERSION", "1.2.3")
    monkeypatch.setenv("APP_REVISION", "abc")

    settings = Settings.from_environment()

    assert settings.environment_name == "staging"
    assert not settings.embedded_database
    assert settings.database.query == {"sslmode": "require"}
    assert settings.external_services == ("https://a.example/health", "http://b.example:8080")
    assert (settings.max_body_bytes, settings.log_level) == (10, "WARNING")
    assert (settings.app_version, settings.app_revision) == ("1.2.3", "abc")
    assert "u:p" not in repr(settings)


def test_empty_variables_count_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("APP_REVISION", "")

    settings = Settings.from_environment()

    assert settings.embedded_database
    assert settings.app_revision == "unknown"


def test_line_break_of_a_file_is_none_of_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@db/app\n")
    monkeypatch.setenv("LOG_LEVEL", "debug\r\n")

    settings = Settings.from_environment()

    assert (settings.database.database, settings.log_level) == ("app", "DEBUG")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@h:1/d", "postgresql+psycopg://u:p@h:1/d"),
        ("postgresql://h/d?sslmode=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("postgresql:///d?host=/run/pg", "postgresql+psycopg:///d?host=%2Frun%2Fpg"),
        ("sqlite:////data/app.sqlite3", "sqlite+aiosqlite:////data/app.sqlite3"),
    ],
)
def test_database_urls(given: str, used: str) -> None:
    assert parse_database_url(given).render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_URL", "nonsense s3cret", "must be a postgresql:// or sqlite:/// URL"),
        ("DATABASE_URL", "mysql://u:s3cret@h/d", "must be a postgresql:// or sqlite:/// URL"),
        ("DATABASE_URL", "postgresql://u:s3cret@h:x/d", "must be a postgresql://"),
        ("DATABASE_URL", "sqlite://", "must name a file"),
        ("DATABASE_URL", "sqlite://s3cret/app.db", "must be a postgresql://"),
        ("DATABASE_URL", "sqlite:///app.db?timeout=s3cret", "must be a postgresql://"),
        ("DATABASE_URL", "postgresql://u:s3cret@db..example/d", "must be a postgresql://"),
        ("EXTERNAL_SERVICES", "ftp://u:s3cret@h", "must be http:// or https:// URLs"),
        ("EXTERNAL_SERVICES", "https://h:s3cret", "must be http:// or https:// URLs"),
        ("EXTERNAL_SERVICES", "https://", "must be http:// or https:// URLs"),
        ("EXTERNAL_SERVICES", "https://u:s3cret@a\u2100b", "must be http:// or https:// URLs"),
        ("EXTERNAL_SERVICES", "https://[s3cret]", "must be http:// or https:// URLs"),
        ("EXTERNAL_SERVICES", "https://s3cret..example", "must be http:// or https:// URLs"),
        ("EXTERNAL_SERVICES", "https://h/\xe4?s3cret", "must be http:// or https:// URLs"),
        ("EXTERNAL_SERVICES", "https://a https://s3cret", "must be http:// or https:// URLs"),
        ("ENVIRONMENT_NAME", "s3cret \udcff", "must be text in UTF-8"),
        ("MAX_BODY_BYTES", "s3cret", "valid integer"),
        ("MAX_BODY_BYTES", "-1", "greater than or equal to 0"),
        ("LOG_LEVEL", "s3cret", "'DEBUG', 'INFO'"),
        ("GRACEFUL_SHUTDOWN_SECONDS", "0", "greater than or equal to 1"),
    ],
)
def test_bad_settings_are_named_but_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        Settings.from_environment()

    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert message in text
    assert "s3cret" not in text
    assert "\n" not in text


def test_database_that_is_gone_without_a_word_is_noticed() -> None:
    url = parse_database_url("postgresql://host/app?connect_timeout=9")
    assert connect_arguments(url).keys() >= {"keepalives_idle", "tcp_user_timeout"}
    assert "connect_timeout" not in connect_arguments(url), "what the URL says stays"
    assert connect_arguments(parse_database_url("sqlite:///app.sqlite3")) == {}


def test_all_bad_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("MAX_BODY_BYTES", "many")

    with pytest.raises(SettingsError, match=r"MAX_BODY_BYTES: .*; LOG_LEVEL: "):
        Settings.from_environment()
