"""Send a file to the API as the action does: checked, compressed and encoded."""

import base64
import gzip
import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


def is_sarif(log: Any) -> bool:  # noqa: ANN401
    """Return whether the action takes it for SARIF."""
    try:
        return log["version"] == "2.1.0" and all(
            isinstance(run["tool"]["driver"]["name"], str)
            and all(isinstance(result["message"], dict) for result in run.get("results") or ())
            for run in log["runs"]
        )
    except (AttributeError, LookupError, TypeError):
        return False


def claim(log: dict[str, Any]) -> None:
    """Note the categories for the later steps of the job; end the step if one was uploaded."""
    claimed: set[str] = set()
    for run in log["runs"]:
        category = (run.get("automationDetails") or {}).get("id") or os.environ["INPUT_CATEGORY"]
        name = re.sub(r"[^a-zA-Z0-9_]", "_", f"{category}_{run['tool']['driver']['name']}")
        sentinel = f"CODEQL_UPLOAD_SARIF_{name.upper()}"
        if sentinel in claimed:
            sys.exit(
                "::error::The CodeQL Action does not support uploading multiple SARIF runs with "
                f"the same category: {name}"
            )
        if sentinel in os.environ:
            sys.exit(
                "::error::Aborting upload: only one run of the codeql/analyze or "
                "codeql/upload-sarif actions is allowed per job per tool/category. "
                f"Category: {name}"
            )
        claimed.add(sentinel)
    with Path(os.environ["GITHUB_ENV"]).open("a") as variables:
        variables.writelines(f"{sentinel}={sentinel}\n" for sentinel in claimed)


def ask(path: str, content: dict[str, str] | None = None, method: str = "") -> dict[str, Any]:
    """Return what the API answers; end the step with its reason if it refuses."""
    method = method or ("POST" if content else "GET")
    base = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}"
    body = json.dumps(content).encode() if content else None
    headers = {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}"}
    request = urllib.request.Request(base + path, body, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        sys.exit(f"::error::{json.load(error)['message']}")


file = os.environ["INPUT_SARIF_FILE"]
text = Path(file).read_bytes()
try:
    log = json.loads(text)
except ValueError:
    log = None
if not is_sarif(log):
    sys.exit(f'::error::Unable to upload "{file}" as it is not valid SARIF')
claim(log)
about = {"commit_sha": os.environ["GITHUB_SHA"], "ref": os.environ["GITHUB_REF"]}
workflow = ask(f"/actions/runs/{os.environ['GITHUB_RUN_ID']}")["path"]
status = {"action_name": "upload-sarif", "status": "starting", "analysis_key": workflow}
ask("/code-scanning/analysis/status", about | status, "PUT")
uploaded = ask(
    "/code-scanning/sarifs", about | {"sarif": base64.b64encode(gzip.compress(text)).decode()}
)
with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
    outputs.write(f"sarif-id={uploaded['id']}\n")
state = ask(f"/code-scanning/sarifs/{uploaded['id']}")
if state["processing_status"] == "failed":
    reasons = ",".join(state["errors"])
    sys.exit(f"::error::Code Scanning could not process the submitted SARIF file: {reasons}")
