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

# compose COMMAND...: of a project with the image alone
compose() {
  docker compose --ansi never --progress quiet --project-name "smoke-$$" --file - "$@" <<PROJECT
services:
  app:
    image: $IMAGE
    read_only: true
    tmpfs: /tmp
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 30s
    ports: ["127.0.0.1::8000"]
PROJECT
}

remove_container() {
  local code=$?
  ((code == 0)) || compose logs --no-log-prefix --tail 20 || true
  compose down --volumes
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  (($# == 2)) || { show_help >&2 && return 2; }
  IMAGE=$1
  local state
  trap remove_container EXIT
  compose up --wait || {
    state=$(compose ps --all --format '{{.Status}}')
    echo "The container is not healthy, but: ${state,,}"
    return 1
  }
  "${BASH_SOURCE[0]%/*}/../checks/smoke_tests.sh" --base-url="http://$(compose port app 8000)" --expect-revision="$2"
  compose stop
  state=$(compose ps --all --format '{{.ExitCode}}')
  ((state == 0)) || { echo "It ended with exit code $state when it was stopped" && return 1; }
}

main "$@"
