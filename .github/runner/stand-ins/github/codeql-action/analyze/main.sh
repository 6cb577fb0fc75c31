#!/usr/bin/env bash
# Write the findings of another analyzer for LANGUAGES to OUTPUT: Ruff's security rules, or zizmor.
# All of them count as security findings, as those of CodeQL's security queries do.
set -euo pipefail

analyze() {
  case $1 in
    python) uv run --quiet --locked --only-group lint ruff check --select S --exclude tests --exit-zero --output-format sarif ;;
    actions) uv run --quiet --locked --only-group pipelines zizmor --offline --quiet --no-progress --format sarif .github/workflows ;;
    *) echo "::error::no analyzer for ${1:-no language}" && exit 1 ;;
  esac
}

mkdir -p "$OUTPUT"
for language in ${LANGUAGES//,/ }; do
  analyze "$language" | jq --arg category "${CATEGORY:-.github/workflows/codeql.yml:analyze}" '
    .runs[] |= (.automationDetails.id = $category + "/" | .tool.driver.name = "CodeQL"
      | .tool.driver.rules[]? |= (.properties.tags += ["security"]))
  ' >"$OUTPUT/$language.sarif"
done
echo "::notice title=Stand-in::Another analyzer than CodeQL looked at ${LANGUAGES}: CodeQL runs on GitHub only."
