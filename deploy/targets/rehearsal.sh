#!/usr/bin/env bash
# No server: containers on the machine that runs this. They are gone when a runner's job ends; on
# your own machine, remove them with `deploy/compose/host.sh remove`.
#
# ENVIRONMENT_NAME    what the app calls its environment (the name on GitHub)
# REHEARSAL_PREVIOUS  NAME:TAG of what serves first, if there is one, so that there is something to go back to

export HOST_FOLDER=${HOST_FOLDER:-${RUNNER_TEMP:-/tmp}/rehearsal}
host=$(dirname "$TARGET_FILE")/../compose/host.sh

target_current() {
  local log
  if [[ ! $("$host" current) && ${REHEARSAL_PREVIOUS:-} ]] && log=$(docker pull "$REHEARSAL_PREVIOUS"); then
    "$host" rollback "${REHEARSAL_PREVIOUS%:*}@$(sed -n 's/^Digest: //p' <<<"$log")" previous </dev/null >&2 || echo "::warning::$REHEARSAL_PREVIOUS does not start: there is nothing to go back to" >&2
  fi
  "$host" current
}

target_deploy() {
  local preview
  preview=$("$host" stage "$1" "$APP_VERSION" "$APP_REVISION" < <(describe_settings))
  run_smoke_tests "$(target_url)" "X-Preview: $preview"
  "$host" switch "$preview"
}

target_rollback() {
  # shellcheck disable=SC2086
  "$host" rollback $1 </dev/null
}

target_url() {
  "$host" url
}

target_logs() {
  "$host" logs
}

describe_settings() {
  echo "ENVIRONMENT_NAME=${ENVIRONMENT_NAME:-}"
}
