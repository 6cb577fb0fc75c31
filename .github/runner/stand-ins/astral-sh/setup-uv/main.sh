#!/usr/bin/env bash
# Take the interpreter that runs this if its version is the one asked for.
set -euo pipefail

uv --version
if [[ ${INPUT_PYTHON_VERSION:-$(cat .python-version)} == "$PIPELINES_PYTHON_VERSION" ]]; then
  echo "UV_PYTHON=$PIPELINES_PYTHON" >>"$GITHUB_ENV"
elif [[ $INPUT_PYTHON_VERSION ]]; then
  echo "UV_PYTHON=$INPUT_PYTHON_VERSION" >>"$GITHUB_ENV"
fi
