#!/usr/bin/env bash
# Take the interpreter that runs this if its version is the one asked for.
set -euo pipefail

uv --version
if [[ ${PYTHON_VERSION:-$(cat .python-version)} == "$PIPELINES_PYTHON_VERSION" ]]; then
  echo "UV_PYTHON=$PIPELINES_PYTHON" >>"$GITHUB_ENV"
elif [[ $PYTHON_VERSION ]]; then
  echo "UV_PYTHON=$PYTHON_VERSION" >>"$GITHUB_ENV"
fi
