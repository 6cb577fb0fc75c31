#!/usr/bin/env bash
# Tell the later steps the languages, if there is such a configuration.
set -euo pipefail

test -f "$INPUT_CONFIG_FILE"
echo "PIPELINES_CODEQL_LANGUAGES=$INPUT_LANGUAGES" >>"$GITHUB_ENV"
