"""Health, readiness and metrics, as seen from outside."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import text

from python_web_template.app import create_app
from python_web_template.migrate import migrate, open_exclusively
from python_web_template.settings import Settings, parse_database_url

type NewClient = Callable[[Settings], TestClient]

NOWHERE = "postgresql://someone:s3cret@127.0.0.1:1/nothing"


class Service(BaseHTTPRequestHandler):
    """Answers with the status that the path asks for."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(int(self.path.partition("?")[0].strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def service() -> Iterator[str]:
    """URL of an external service."""
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://user:s3cret@127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def value(client: TestClient, name: str, **labels: str) -> float:
    """Read one sample from the metrics; 0 if there is none."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return sum(
        sample.value
        for sample in samples
        if sample.name == name and sample.labels.items() >= labels.items()
    )


def test_health_says_what_runs(new_client: NewClient) -> None:
    client = new_client(
        Settings(
            database_url=SecretStr(NOWHERE),
            app_version="1.2.3",
            app_revision="abc",
            environment_name="staging",
        )
    )

    answer = client.get("/health")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "version": "1.2.3",
        "revision": "abc",
        "environment": "staging",
    }


def test_head_is_get_without_a_body(new_client: NewClient) -> None:
    """Uptime monitors ask so; on a route of FastAPI it would be 405."""
    client = new_client(Settings())

    assert client.head("/health").status_code == 200
    assert client.head("/items/x").status_code == 422
    count = "http_request_duration_seconds_count"
    assert value(client, count, method="HEAD", route="/health", status="200") == 1


def test_ready(client: TestClient) -> None:
    answer = client.get("/ready")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": {"database": "ok", "schema": "ok"}}


@pytest.mark.usefixtures("default_settings")
def test_not_ready_without_database(capfd: pytest.CaptureFixture[str]) -> None:
    with TestClient(create_app(Settings(database_url=SecretStr(NOWHERE)))) as client:
        answer = client.get("/ready")

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "Not ready: database, schema"
    assert answer.json()["checks"] == {"database": "unreachable", "schema": "unknown"}
    assert "s3cret" not in answer.text
    assert "s3cret" not in capfd.readouterr().out


def test_not_ready_with_old_schema(empty_database: str, new_client: NewClient) -> None:
    client = new_client(Settings(database_url=SecretStr(empty_database)))

    before = client.get("/ready")
    migrate(parse_database_url(empty_database))

    assert before.status_code == 503
    assert before.json()["checks"] == {"database": "ok", "schema": "at base, expected 0001"}
    assert client.get("/ready").status_code == 200


@pytest.mark.parametrize(
    ("statement", "schema"),
    [
        ("UPDATE alembic_version SET version_num = 'later'", "ok"),
        (
            "INSERT INTO alembic_version VALUES ('later')",
            "the table alembic_version must have one revision, and has '0001', 'later'",
        ),
    ],
)
def test_schema_that_another_version_left(
    empty_database: str, new_client: NewClient, statement: str, schema: str
) -> None:
    """What a later version made does: it takes nothing away. What is ambiguous does not."""
    url = parse_database_url(empty_database)
    migrate(url)
    with open_exclusively(url) as connection:
        connection.execute(text(statement))

    answer = new_client(Settings(database_url=SecretStr(empty_database))).get("/ready")

    assert answer.json()["checks"] == {"database": "ok", "schema": schema}
    assert answer.status_code == (200 if schema == "ok" else 503)


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("/200", "ok"),
        ("/404?key=s3cret", "ok"),
        ("/500?key=s3cret", "answers 500"),
    ],
)
def test_external_service(
    database: str, new_client: NewClient, service: str, path: str, result: str
) -> None:
    settings = Settings(database_url=SecretStr(database), external_services=(service + path,))

    answer = new_client(settings).get("/ready")

    assert answer.json()["checks"]["service 127.0.0.1"] == result
    assert answer.status_code == (200 if result == "ok" else 503)
    assert "s3cret" not in answer.text


def test_one_of_two_services_on_the_same_host_is_gone(
    database: str, new_client: NewClient, service: str
) -> None:
    services = ("http://127.0.0.1:1/", f"{service}/200")

    answer = new_client(Settings(database_url=SecretStr(database), external_services=services)).get(
        "/ready"
    )

    assert answer.status_code == 503
    assert answer.json()["detail"] == "Not ready: service 127.0.0.1"
    assert answer.json()["checks"]["service 127.0.0.1"] == "unreachable"


@pytest.mark.usefixtures("default_settings")
def test_database_failure_during_a_request(capfd: pytest.CaptureFixture[str]) -> None:
    with TestClient(create_app(Settings(database_url=SecretStr(NOWHERE)))) as client:
        answer = client.get("/items")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["detail"] == "The database is not available"
    assert "database unavailable" in capfd.readouterr().out


def test_requests_are_measured_by_route_template(client: TestClient) -> None:
    client.get("/items/1")
    client.get("/items/2")

    count = "http_request_duration_seconds_count"
    assert value(client, count, method="GET", route="/items/{item_id}", status="404") == 2


def test_unknown_paths_and_methods_do_not_multiply_series(client: TestClient) -> None:
    for number in range(3):
        client.get(f"/nothing/{number}")
        client.request(f"METHOD{number}", "/health")

    count = "http_request_duration_seconds_count"
    assert value(client, count, route="unmatched") == 3
    assert value(client, count, method="other") == 3


def test_statements_are_measured(client: TestClient) -> None:
    client.post("/items", json={"name": "Tea", "price_cents": 1})
    client.get("/items")

    assert value(client, "database_query_duration_seconds_count", operation="insert") == 1
    assert value(client, "database_query_duration_seconds_count", operation="select") >= 1


def test_errors_flight_and_memory_are_measured(new_client: NewClient) -> None:
    client = new_client(Settings(database_url=SecretStr(NOWHERE)))
    client.get("/ready")

    assert value(client, "http_errors_total", route="/ready") == 1
    assert value(client, "http_requests_in_flight") == 1  # the one that asks
    assert value(client, "process_resident_memory_bytes") > 1_000_000
