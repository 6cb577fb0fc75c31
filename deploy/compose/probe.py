"""Ask the app in this container until it is ready: python - REVISION SECONDS [SECONDS].

It may take so many seconds until it answers and, if there is a second number, so many from then on
until it is ready. Ends with 0 if it is, and prints what it does not tell; with 3, and prints why:
what runs this ends with other codes.
"""

import json
import sys
import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any

APP = ("127.0.0.1", 8000)


def ask(path: str) -> tuple[int, Any]:
    """Return the status and the JSON object of an answer; 0 if there is none."""
    connection = HTTPConnection(*APP, timeout=5)  # never through a proxy
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(100_000)
    except (HTTPException, OSError):
        return 0, {}
    finally:
        connection.close()
    try:
        content = json.loads(text)
    except (RecursionError, ValueError):
        content = {}
    return answer.status, content if isinstance(content, dict) else {}


def clean(text: object) -> str:
    """Return what a person can read and a shell does not obey."""
    letters = "".join(
        character if character.isalnum() or character in " .,_-" else " "
        for character in str(text)[:200]
    )
    return " ".join(letters.split())


def main() -> int:
    """Ask until there is a verdict; return the exit code."""
    revision, seconds, *more = sys.argv[1:]
    deadline, answered = time.monotonic() + float(seconds), False
    while True:
        status, health = ask("/health")
        told = health.get("revision")
        why = f"answers {status} at /health" if status else "does not answer"
        if status == HTTPStatus.OK:
            if more and not answered:
                deadline = min(deadline, time.monotonic() + float(more[0]))
            answered = True
            if isinstance(told, str) and revision and told != revision:
                why = f"answers with another revision, {clean(told)}"
                break
            status, ready = ask("/ready")
            if status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
                missing = ["no /ready"] if status == HTTPStatus.NOT_FOUND else []
                missing += [] if isinstance(told, str) else ["no revision in /health"]
                print("has " + " and ".join(missing) if missing else "", end="")
                return 0
            detail = clean(ready.get("detail", "")).removeprefix("Not ready ")
            why = f"is not ready: {detail or f'{status} at /ready'}"
        if time.monotonic() >= deadline:
            break
        time.sleep(0.2)
    print(why, end="")
    return 3


if __name__ == "__main__":
    sys.exit(main())
