#!/usr/bin/env bash
# Tell the later steps the LANGUAGES, if there is a file CONFIG.
set -euo pipefail

test -f "$CONFIG"
echo "PIPELINES_CODEQL_LANGUAGES=$LANGUAGES" >>"$GITHUB_ENV"
