#!/usr/bin/env bash
# Tell the later steps the LANGUAGE, if there is a file CONFIG.
set -euo pipefail

test -f "$CONFIG"
echo "PIPELINES_CODEQL_LANGUAGE=$LANGUAGE" >>"$GITHUB_ENV"
