#!/usr/bin/env bash
# Log in to the registry.
set -euo pipefail

docker login --username "$INPUT_USERNAME" --password-stdin "$INPUT_REGISTRY" <<<"$INPUT_PASSWORD" 2>&1
