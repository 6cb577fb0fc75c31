#!/usr/bin/env bash
# Deploy an image to a target, prove that it serves, and go back by itself if it does not.
set -euo pipefail

ROOT=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../..")
TARGETS=${DEPLOY_TARGETS:-$ROOT/deploy/targets}
export ROOT TARGETS

show_help() {
  cat <<HELP
usage: deploy.sh deploy IMAGE | rollback | refuse

  deploy    note what serves; deploy IMAGE, NAME@DIGEST; wait until the new revision answers and is
            ready; run the smoke tests; on any failure put back what served
  rollback  put back what served if deploy was ended in the middle; else do nothing
  refuse    say why an environment that nobody protects gets nothing

Environment: DEPLOY_TARGET (rehearsal), one of: $(list_targets).
APP_REVISION, the commit that has to answer; APP_VERSION, what the image is called;
ENVIRONMENT_NAME; DEPLOY_URL, where it answers; DEPLOY_TIMEOUT (300), seconds to wait for it;
SETTINGS, variables of the targets as JSON; and what the target's file names.
Sets the outputs outcome (deployed, rolled-back, failed, rollback-failed), reason, previous, url.
Ends with 0 if it was deployed, 1 if not, 3 if what served before could not be put back.
HELP
}

list_targets() {
  local file names=()
  for file in "$TARGETS"/*.sh; do names+=("$(basename "$file" .sh)"); done
  echo "${names[*]}"
}

# Variables whose names start like a target's; the environment wins.
read_settings() {
  local name value
  while IFS=$'\t' read -r name value; do
    [[ ${!name:-} ]] || export "$name=$(base64 --decode <<<"$value")"
  done < <(jq --raw-output '(fromjson? // {}) | to_entries[]
    | select(.key | test("^(DEPLOY|KUBE|ENVIRONMENT)_[A-Z_]+$")) | "\(.key)\t\(.value | @base64)"' --raw-input --slurp <<<"${SETTINGS:-}")
}

choose_target() {
  export ENVIRONMENT_NAME=${ENVIRONMENT_NAME:-${DEPLOY_ENVIRONMENT:-}}
  export DEPLOY_TARGET=${DEPLOY_TARGET:-rehearsal}
  TARGET_FILE=$TARGETS/$DEPLOY_TARGET.sh
  export TARGET_FILE
  [[ $DEPLOY_TARGET =~ ^[a-z0-9-]+$ && -f $TARGET_FILE ]] && return
  give_up "There is no target ${DEPLOY_TARGET:0:50}" "Set the variable DEPLOY_TARGET to one of: $(list_targets)."
}

# Runs a function of the target in a shell of its own, where every failure counts.
ask_target() {
  bash -euo pipefail -c 'source "$TARGET_FILE"; "$@"' target "$@"
}

set_output() {
  printf '%s=%s\n' "$1" "$(tr -s '[:cntrl:]' ' ' <<<"$2" | sed 's/ $//')" >>"${GITHUB_OUTPUT:-/dev/null}"
}

# conclude OUTCOME REASON
conclude() {
  echo "$1" >"$STATE/outcome"
  set_output outcome "$1"
  set_output reason "$2"
  set_output previous "$(read_state previous)"
}

give_up() {
  echo "::error title=$1::$2"
  tell ❌ "Not deployed" "$1. $2"
  conclude failed "$1. $2"
  exit 1
}

read_state() {
  cat "$STATE/$1" 2>/dev/null || true
}

# Prints the revision that answers at a URL; what cannot be one is not printed.
ask_revision() {
  curl --silent --max-time 5 "$1/health" | jq --raw-output '.revision | strings | select(test("\\A[0-9A-Za-z._-]{1,64}\\z"))'
}

is_ready() {
  curl --silent --fail --max-time 5 --output /dev/null "$1/ready"
}

# Notes the revision that serves; a proxy that has just started gets a moment.
note_revision() {
  local url
  url=$(ask_target target_url) || return 0
  for _ in {1..10}; do
    ask_revision "$url" >"$STATE/revision" 2>/dev/null || true
    [[ ! -s $STATE/revision ]] || return 0
    sleep 0.5
  done
}

# wait_for_revision URL REVISION
wait_for_revision() {
  local answer='' deadline=$((SECONDS + ${DEPLOY_TIMEOUT:-300}))
  echo "Waiting for $2 at $1"
  while ((SECONDS < deadline)); do
    answer=$(is_ready "$1" && ask_revision "$1" 2>/dev/null || true)
    [[ $answer != "$2" ]] || return 0
    sleep 0.5
  done
  [[ $answer ]] && echo "it is $answer that answers, not $2" >"$STATE/why" ||
    echo "nothing was ready in ${DEPLOY_TIMEOUT:-300} seconds" >"$STATE/why"
  return 1
}

# run_smoke_tests URL [HEADER]: targets may use it on what gets no traffic yet.
run_smoke_tests() {
  local options=(--base-url="$1" --expect-revision="$APP_REVISION")
  [[ ! ${2:-} ]] || options+=(--header="$2")
  (cd "$ROOT" && ${SMOKE_TESTS:-.github/scripts/checks/smoke_tests.sh} "${options[@]}") && return
  echo "the smoke tests failed" >"$STATE/why"
  return 1
}

deploy() {
  local image=$1 previous
  mkdir -p "$STATE"
  choose_target
  [[ $image =~ ^[a-z0-9][a-z0-9._/:-]*@sha256:[0-9a-f]{64}$ ]] || give_up "Not an image by its digest" "It must look like NAME@sha256:…"
  [[ ${APP_REVISION:-} =~ ^[0-9a-f]{40,64}$ ]] || give_up "APP_REVISION is not a commit" "It must be the whole hash of the commit that the image is made of."
  rm -f "$STATE"/*
  if ! previous=$(ask_target target_current 2>"$STATE/log"); then
    cat "$STATE/log" >&2
    give_up "$(find_error 'the target does not say what serves' <"$STATE/log")" "Nothing was changed: the log above says what to do."
  fi
  echo "$previous" >"$STATE/previous"
  [[ ! $previous ]] || note_revision
  echo "Serving now: ${previous:-nothing}"
  echo changing >"$STATE/outcome"
  trap cancel INT TERM
  if run_apart try_image "$image"; then
    conclude deployed ''
    tell ✅ "Deployed" "$APP_VERSION serves at $(ask_target target_url)."
    return
  fi
  put_back
  return 1
}

# Runs a function beside this shell: a signal is heard at once, not when the function has ended.
run_apart() {
  set -m # a process group of its own, which can be ended as a whole
  "$@" </dev/null &
  set +m
  echo "$$ $!" >"$STATE/running"
  local code=0
  wait $! || code=$?
  rm "$STATE/running"
  return "$code"
}

# Ends what a deployment left running: it would change the target after the rollback.
end_apart() {
  local driver group
  read -r driver group < <(read_state running) || return 0
  [[ $driver == "$$" ]] || kill -KILL "$driver" 2>/dev/null || true
  kill -TERM -- "-$group" 2>/dev/null || true # so that targets remove their credentials
  for _ in {1..50}; do
    kill -0 -- "-$group" 2>/dev/null || break
    sleep 0.2
  done
  kill -KILL -- "-$group" 2>/dev/null || true
  rm "$STATE/running"
}

cancel() {
  trap '' INT TERM
  end_apart
  echo "the deployment was cancelled" >"$STATE/why"
  put_back
  exit 1
}

try_image() {
  local url
  if ! ask_target target_deploy "$1" 2>"$STATE/log"; then
    cat "$STATE/log" >&2
    [[ -f $STATE/why ]] || find_error 'the new version did not start' <"$STATE/log" >"$STATE/why"
    return 1
  fi
  cat "$STATE/log" >&2
  url=$(ask_target target_url) || { echo "the target does not say where it answers" >"$STATE/why" && return 1; }
  set_output url "$url"
  wait_for_revision "$url" "$APP_REVISION" && run_smoke_tests "$url"
}

# find_error ELSE: prints the title of the last error that standard input announces.
find_error() {
  local title
  title=$(sed -n 's/.*::error title=\([^:]*\)::.*/\1/p' | tail -n 1)
  echo "${title:-$1}"
}

# Puts back what was noted; does not return if that fails.
put_back() {
  local why previous now="What served before serves again."
  why=$(read_state why) previous=$(read_state previous)
  [[ $(read_state revision) ]] || now="What was there before is put back. It did not answer before either: look at it."
  trap '' INT TERM
  echo "::error title=Not deployed::$APP_VERSION: $why. The log of the new version is below."
  show_logs
  if ask_target target_rollback "$previous" && serves_again; then
    if [[ $previous ]]; then
      conclude rolled-back "$why"
      tell ❌ "Rolled back" "$APP_VERSION was not deployed, because $why. $now"
    else
      conclude failed "$why"
      tell ❌ "Not deployed" "$APP_VERSION was not deployed, because $why. Nothing served before, and nothing serves now."
    fi
    return 0 # without the number, a trap returns what was before it
  fi
  conclude rollback-failed "$why"
  tell 🔥 "The rollback failed too" "$APP_VERSION was not deployed, because $why, and what served before could not be put back. Look at the target now. To deploy a version that worked: Actions → CD → Run workflow, with its number."
  echo "::error title=The rollback failed too::Nobody knows what serves in ${ENVIRONMENT_NAME:-this environment}. Look at the target now."
  exit 3
}

# What a version logs is not for GitHub to obey.
show_logs() {
  local token
  token=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
  echo "::stop-commands::$token"
  ask_target target_logs 2>&1 | tail -n 60 || true
  printf '\n::%s::\n' "$token"
}

serves_again() {
  local revision url
  revision=$(read_state revision)
  [[ $revision ]] || return 0
  url=$(ask_target target_url) && wait_for_revision "$url" "$revision"
}

# tell MARK TITLE TEXT
tell() {
  echo "$2: $3"
  printf '### %s %s\n\n%s\n\n' "$1" "$2" "$(tr -s '[:cntrl:]' ' ' <<<"$3" | sed 's/[][`*_<>|\\]/\\&/g')" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
}

rollback() {
  [[ $(read_state outcome) == changing ]] || { echo 'There is nothing to put back.' && return; }
  choose_target
  end_apart
  [[ $(read_state why) == *cancelled* ]] || echo "the deployment was ended in the middle" >"$STATE/why"
  put_back
}

refuse() {
  tell ❌ "Refused" "Nobody has to approve deployments to this environment, so anybody who may push a tag could deploy. Protect it: uv run poe setup-github --apply --reviewer LOGIN. If this is meant: gh variable set DEPLOY_UNAPPROVED --body true."
  echo "::error title=Refused::Nobody has to approve deployments to this environment. The job summary says how to change that."
  return 1
}

main() {
  STATE=${DEPLOY_STATE:-${RUNNER_TEMP:-/tmp}/deploy}
  APP_VERSION=${APP_VERSION:-the new version}
  export APP_VERSION STATE
  export -f run_smoke_tests
  read_settings
  case ${1:-} in
    deploy) deploy "${2:?IMAGE is missing}" ;;
    rollback) rollback ;;
    refuse) refuse ;;
    --help) show_help ;;
    *) show_help >&2 && return 2 ;;
  esac
}

main "$@"
