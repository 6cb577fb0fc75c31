#!/usr/bin/env bash
# No server: containers on the machine that runs this. They are gone when a runner's job ends; on
# your own machine, remove them with `HOST_FOLDER=/tmp/rehearsal deploy/compose/host.sh remove`.
#
# ENVIRONMENT_NAME    what the app calls its environment (the name on GitHub)
# REHEARSAL_PREVIOUS  NAME:TAG of what serves first, if there is one, so that there is something to go back to

export HOST_FOLDER=${HOST_FOLDER:-${RUNNER_TEMP:-/tmp}/rehearsal}
host=$(dirname "$TARGET_FILE")/../compose/host.sh

target_current() {
  [[ $("$host" current) || ! ${REHEARSAL_PREVIOUS:-} ]] || rehearse_previous
  "$host" current
}

# Lets the version before serve. Whether there is one, the registry says; an outage is no answer.
rehearse_previous() {
  local log image preview
  if ! log=$(repeat "the registry" docker pull "$REHEARSAL_PREVIOUS" 2>&1); then
    ! is_outage "$log" || { echo "::error title=The registry does not answer::What served before is not known." >&2 && return 1; }
    return 0
  fi
  image=${REHEARSAL_PREVIOUS%:*}@$(sed -n 's/^Digest: //p' <<<"$log")
  if preview=$(describe_settings | "$host" stage "$image" previous ''); then
    name_deployment | "$host" switch "$preview"
    name_deployment | "$host" confirm
  else
    echo "::warning title=$REHEARSAL_PREVIOUS does not start::There is nothing to go back to: its log is above." >&2
    target_logs >&2
    name_deployment | "$host" rollback
  fi
}

target_deploy() {
  local preview
  preview=$(describe_settings | "$host" stage "$1" "$APP_VERSION" "$APP_REVISION")
  run_smoke_tests "$(target_url)" "X-Preview: $preview"
  name_deployment | "$host" switch "$preview"
}

target_confirm() {
  name_deployment | "$host" confirm
}

target_keep() {
  name_deployment | "$host" keep
}

target_rollback() {
  # shellcheck disable=SC2086
  name_deployment | "$host" rollback $1
}

target_url() {
  "$host" url
}

target_logs() {
  "$host" logs
}

name_deployment() {
  echo "DEPLOYMENT=$DEPLOYMENT"
}

describe_settings() {
  name_deployment
  echo "ENVIRONMENT_NAME=${ENVIRONMENT_NAME:-}"
  echo "TIMEOUT=${DEPLOY_TIMEOUT:-}"
}
