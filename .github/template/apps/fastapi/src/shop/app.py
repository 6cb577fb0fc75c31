"""Two routes, no database, no metrics, no version."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the app answers."""
    return {"status": "ok"}


@app.get("/greetings/{name}")
async def greet(name: str) -> dict[str, str]:
    """Greet somebody."""
    return {"greeting": f"Hello, {name}!"}
