#!/usr/bin/env bash
# Check that buildx is here.
set -euo pipefail

docker buildx version
