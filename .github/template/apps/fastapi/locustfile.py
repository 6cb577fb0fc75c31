"""What visitors of the app do."""

from locust import HttpUser, constant_throughput, task


class Visitor(HttpUser):
    """Somebody who wants to be greeted once a second."""

    wait_time = constant_throughput(1)

    @task
    def greet(self) -> None:
        """Ask for a greeting."""
        self.client.get("/greetings/Ada", name="/greetings/{name}")
