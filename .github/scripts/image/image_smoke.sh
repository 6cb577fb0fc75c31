#!/usr/bin/env bash
# Start an image with few rights, run the smoke tests against it, stop it.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: image_smoke.sh IMAGE REVISION

Starts IMAGE read-only and without capabilities, waits until it is healthy, runs
tests/smoke against it, which must be answered by REVISION, and stops it as an
orchestrator does. Fails if any of that fails, and shows the container's log.
HELP
}

readonly START_SECONDS=60
CONTAINER=""

start_container() {
  CONTAINER=$(docker run --detach --read-only --cap-drop=ALL --security-opt=no-new-privileges \
    --publish=127.0.0.1::8000 "$1")
}

remove_container() {
  local code=$?
  [[ $CONTAINER ]] || return 0
  ((code == 0)) || docker logs "$CONTAINER" 2>&1 | tail -n 20 || true
  docker rm --force --volumes "$CONTAINER" >/dev/null
}

wait_until_healthy() {
  local status deadline=$((SECONDS + START_SECONDS))
  while ((SECONDS < deadline)); do
    status=$(docker inspect --format '{{.State.Status}} {{.State.Health.Status}}' "$CONTAINER")
    case $status in
      'running healthy') return ;;
      'running starting') sleep 0.2 ;;
      *) break ;;
    esac
  done
  echo "The container is not healthy, but: $status"
  return 1
}

stop_container() {
  local code
  docker stop "$CONTAINER" >/dev/null
  code=$(docker inspect --format '{{.State.ExitCode}}' "$CONTAINER")
  ((code == 0)) || { echo "It ended with exit code $code when it was stopped" && return 1; }
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  (($# == 2)) || { show_help >&2 && return 2; }
  trap remove_container EXIT
  start_container "$1"
  wait_until_healthy
  "${BASH_SOURCE[0]%/*}/../checks/smoke_tests.sh" --base-url="http://$(docker port "$CONTAINER" 8000/tcp | head -n 1)" \
    --expect-revision="$2"
  stop_container
}

main "$@"
