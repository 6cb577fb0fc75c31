"""A small app: Flask, served by Gunicorn."""

from flask import Flask

app = Flask(__name__)


@app.get("/health")
def health() -> str:
    """Say that the app answers."""
    return "fine"


@app.get("/")
def home() -> str:
    """Greet."""
    return "Hello!"
