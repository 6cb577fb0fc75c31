"""Write the findings of another analyzer for the languages: Ruff's security rules, or zizmor.

All of them count as security findings, as those of CodeQL's security queries do.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

UV = ["uv", "run", "--quiet", "--locked"]
ANALYZERS = {
    "actions": [
        *UV, "--only-group", "pipelines", "zizmor", "--offline", "--quiet", "--no-progress",
        "--format", "sarif", ".github/workflows",
    ],
    "python": [
        *UV, "--only-group", "lint", "ruff", "check", "--select", "S", "--exclude", "tests",
        "--exit-zero", "--output-format", "sarif",
    ],
}  # fmt: skip

folder = Path(os.environ["INPUT_OUTPUT"])
folder.mkdir(parents=True, exist_ok=True)
category = os.environ["INPUT_CATEGORY"] or ".github/workflows/codeql.yml:analyze"
for language in os.environ["PIPELINES_CODEQL_LANGUAGES"].replace(",", " ").split():
    if language not in ANALYZERS:
        sys.exit(f"::error::no analyzer for {language}")
    done = subprocess.run(ANALYZERS[language], check=True, stdout=subprocess.PIPE)
    log = json.loads(done.stdout)
    for run in log["runs"]:
        run["automationDetails"] = {"id": f"{category}/{language}"}
        run["tool"]["driver"]["name"] = "CodeQL"
        for rule in run["tool"]["driver"].get("rules", []):
            tags = rule.setdefault("properties", {}).setdefault("tags", [])
            tags.append("security")
    (folder / f"{language}.sarif").write_text(json.dumps(log))
with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
    outputs.write(f"sarif-output={folder}\n")
print(
    "::notice title=Stand-in::Another analyzer than CodeQL looked at "
    f"{os.environ['PIPELINES_CODEQL_LANGUAGES']}: CodeQL runs on GitHub only."
)
