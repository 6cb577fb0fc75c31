#!/usr/bin/env bash
# Deploy an image to a target, prove that it serves, and go back by itself if it does not.
set -euo pipefail

ROOT=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../..")
TARGETS=${DEPLOY_TARGETS:-$ROOT/deploy/targets}
export ROOT TARGETS
# shellcheck source=.github/scripts/lib/repeat.sh
source "$ROOT/.github/scripts/lib/repeat.sh"
NOT_OURS=75 # how a target ends when another deployment stays, and ours has changed nothing

show_help() {
  cat <<HELP
usage: deploy.sh deploy IMAGE | rollback | refuse

  deploy    note what serves; deploy IMAGE, NAME@DIGEST; wait until the new revision answers and is
            ready; run the smoke tests; on any failure put back what served
  rollback  put back what served if deploy was ended in the middle, or could not; else do nothing
  refuse    say why an environment that nobody protects gets nothing

Environment: DEPLOY_TARGET (rehearsal), one of: $(list_targets).
APP_REVISION, the commit that has to answer; APP_VERSION, what the image is called;
ENVIRONMENT_NAME; DEPLOY_URL, where it answers; DEPLOY_TIMEOUT (300), seconds to wait for it;
OTHER_TIMEOUT (45), the same while another revision answers all the time;
ROLLBACK_TIMEOUT (60), the same for what served before; PATIENCE (60), seconds that a network may be
away; SETTINGS, variables of the targets as JSON; and what the target's file names.
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
  [[ ${SETTINGS:-} ]] || return 0
  while IFS=$'\t' read -r name value; do
    [[ ${!name:-} ]] || export "$name=$(base64 --decode <<<"$value")"
  done < <(jq --raw-output '(fromjson? // {}) | to_entries[]
    | select(.key | test("^(DEPLOY|KUBE|ENVIRONMENT)_[A-Z0-9_]+$")) | "\(.key)\t\(.value | @base64)"' --raw-input --slurp <<<"$SETTINGS")
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

# has_function NAME: some of a target are optional.
has_function() {
  ask_target declare -F "$1" >/dev/null
}

# Says something to GitHub; what is in a text has no effect there.
say() { python3 "$ROOT/.github/scripts/lib/workflow_commands.py" "$@"; }

# set_output NAME VALUE: an output of the step, on one line.
set_output() {
  local words
  IFS=$' \t\n\v\f\r' read -rd '' -a words <<<"$2" || true
  echo "$1=${words[*]}" >>"${GITHUB_OUTPUT:-/dev/null}"
}

# conclude OUTCOME REASON
conclude() {
  echo "$1" >"$STATE/outcome"
  set_output outcome "$1"
  set_output reason "$2"
  set_output previous "$(read_state previous)"
}

give_up() {
  say error "$1" "$2"
  tell ❌ "Not deployed" "$1. $2"
  conclude failed "$1. $2"
  exit 1
}

read_state() {
  cat "$STATE/$1" 2>/dev/null || true
}

# ask URL PATH [HEADER]: prints the body of an answer, and on a last line its status; if there is none, why, and 000.
ask() {
  curl --silent --max-time 5 --write-out '%{errormsg}\n%{http_code}' ${3:+--header "$3"} "${1%/}$2" || true
}

# Prints the revision that an answer of /health tells; what cannot be one is not printed.
find_revision() {
  sed '$d' <<<"$1" | jq --raw-output '.revision? | strings
    | if test("\\A[0-9A-Za-z._-]{1,64}\\z") then . else "something unreadable" end' 2>/dev/null || true
}

# Notes what answers now; a proxy that has just started gets a moment.
note_answer() {
  local url answer deadline=$((SECONDS + 5))
  url=$(ask_target target_url) || return 0
  until ((SECONDS > deadline)); do
    answer=$(ask "$url" /health)
    if [[ ${answer##*$'\n'} == 200 ]]; then
      find_revision "$answer" >"$STATE/revision"
      echo 200 >"$STATE/answered"
      return
    fi
    sleep 0.5
  done
}

# look URL REVISION: says whether that revision answers; else prints what does.
look() {
  local answer status revision
  answer=$(ask "$1" /health)
  status=${answer##*$'\n'} revision=$(find_revision "$answer")
  if [[ $status == 000 ]]; then
    echo "nothing answers at $1: $(sed '$d' <<<"$answer")"
  elif [[ $status != 200 ]]; then
    echo "it answers $status at /health"
  elif [[ $2 && $revision && $revision != "$2" ]]; then
    echo "it is $revision that answers, not $2"
  else
    return 0
  fi
  return 1
}

# look_ready URL [HEADER]: says whether it is ready; else prints why not. Without /ready, /health counts.
look_ready() {
  local answer status detail
  answer=$(ask "$1" /ready "${2:-}")
  status=${answer##*$'\n'}
  case $status in 200 | 404) return 0 ;; esac # without the number, a trap returns what was before it
  detail=$(sed '$d' <<<"$answer")
  [[ $status == 000 ]] || detail=$(jq --raw-output '.detail? | strings | gsub("[^A-Za-z0-9.,_-]+"; " ") | ltrimstr("Not ready ")' <<<"$detail" 2>/dev/null | head -c 200) || true
  echo "it is not ready: ${detail:-/ready answers $status}"
  return 1
}

# wait_for_revision URL REVISION: the target has said that it is there; the app says which one it is.
# Where every answer is that of another one, no part of the new version is where the traffic goes.
wait_for_revision() {
  local why other='' deadline=$((SECONDS + ${DEPLOY_TIMEOUT:-300}))
  echo "Waiting for $2 at $1"
  until why=$(look "$1" "$2" && look_ready "$1"); do
    if [[ $why == *' that answers, not '* ]]; then : "${other:=$((SECONDS + ${OTHER_TIMEOUT:-45}))}"; else other=''; fi
    if ((SECONDS >= deadline || SECONDS >= ${other:-deadline})); then
      echo "$why" >"$STATE/why"
      return 1
    fi
    sleep 0.5
  done
  [[ $(find_revision "$(ask "$1" /health)") ]] ||
    echo "::notice title=/health tells no revision::That the new version answers is known from the target only."
}

# run_smoke_tests URL [HEADER]: targets may use it on what gets no traffic yet. If they fail and what the
# version needs was away meanwhile, they are run once more when it is back.
run_smoke_tests() {
  local watcher why failed='the smoke tests failed'
  rm -f "$STATE/unready"
  watch_ready "$@" >/dev/null 2>&1 &
  watcher=$!
  try_smoke_tests "$@" && { end_watch "$watcher" && return; }
  why=$(look_ready "$@") && why=$(read_state unready)
  end_watch "$watcher"
  if [[ $why ]]; then
    if ! wait_until_ready "$why" "$@"; then failed+=", and $why"
    elif try_smoke_tests "$@"; then return
    fi
  fi
  echo "$failed" >"$STATE/why"
  return 1
}

# Notes that it is not ready, when it is not for the first time.
watch_ready() {
  local why
  while why=$(look_ready "$@"); do sleep 0.5; done
  echo "$why" >"$STATE/unready"
}

end_watch() { { kill "$1" && wait "$1"; } 2>/dev/null || true; }

# wait_until_ready WHY URL [HEADER]: waits for PATIENCE seconds; WHY is what is missing.
wait_until_ready() {
  local deadline=$((SECONDS + ${PATIENCE:-60}))
  echo "Waiting to run the smoke tests again: $1" >&2
  shift
  until look_ready "$@" >/dev/null; do
    ((SECONDS < deadline)) || return 1
    sleep 1
  done
}

try_smoke_tests() {
  local options=(--base-url="$1")
  [[ ! $(find_revision "$(ask "$1" /health "${2:-}")") ]] || options+=(--expect-revision="$APP_REVISION")
  [[ ! ${2:-} ]] || options+=(--header="$2")
  # Tests take DATABASE_URL for theirs, and their packages need no keys.
  (unset DATABASE_URL DEPLOY_SSH_KEY KUBE_CONFIG REGISTRY_TOKEN
    cd "$ROOT" && "${SMOKE_TESTS:-.github/scripts/checks/smoke_tests.sh}" "${options[@]}")
}

deploy() {
  local image=$1 previous code=0
  mkdir -p "$STATE"
  choose_target
  [[ $image =~ ^[a-z0-9][a-z0-9._/:-]*@sha256:[0-9a-f]{64}$ ]] || give_up "Not an image by its digest" "It must look like NAME@sha256:…"
  [[ ${APP_REVISION:-} =~ ^[0-9a-f]{40,64}$ ]] || give_up "APP_REVISION is not a commit" "It must be the whole hash of the commit that the image is made of."
  [[ ${DEPLOY_TIMEOUT:-300} =~ ^[1-9][0-9]{0,3}$ ]] || give_up "DEPLOY_TIMEOUT is no number of seconds" "Set it anew: gh variable set DEPLOY_TIMEOUT --body 300."
  [[ ${DEPLOY_URL:-https://-} =~ ^https?://[^[:space:]]+$ ]] || give_up "DEPLOY_URL is no address" "It begins with https:// or http://, and has no blank. Set it anew: gh variable set DEPLOY_URL."
  rm -f "$STATE"/*
  if ! previous=$(ask_target target_current 2>"$STATE/log"); then
    cat "$STATE/log" >&2
    give_up "$(find_error 'the target does not say what serves' <"$STATE/log")" "Nothing was changed: the log above says what to do."
  fi
  cat "$STATE/log" >&2
  echo "$previous" >"$STATE/previous"
  [[ ! $previous ]] || note_answer
  echo "Serving now: ${previous:-nothing}"
  echo changing >"$STATE/outcome"
  echo "$EPOCHSECONDS" >"$STATE/began"
  trap cancel INT TERM
  keep </dev/null >/dev/null 2>&1 &
  KEEPER=$!
  run_apart try_image "$image" || code=$?
  kill "$KEEPER" 2>/dev/null || true
  if ((code == 0)); then
    conclude deployed ''
    tell ✅ "Deployed" "$APP_VERSION serves at $(read_state url), $(count_seconds began) after it was begun."
    return
  fi
  ((code != NOT_OURS)) || give_up "$(read_state why)" "Another deployment to the same place stays as it is; nothing of this one does."
  put_back
  return 1
}

# Tells the target every now and then that the deployment goes on, as long as this shell lives.
keep() {
  has_function target_keep || return 0
  while sleep 10 && kill -0 $$ && [[ $(read_state outcome) == changing ]]; do
    PATIENCE=0 ask_target target_keep || sleep 20 # a firewall may count this
  done
}

# count_seconds NAME: prints how long ago something was noted.
count_seconds() {
  echo "$((EPOCHSECONDS - $(read_state "$1" | grep . || echo "$EPOCHSECONDS"))) s"
}

# Runs a function beside this shell: a signal is heard at once, not when the function has ended.
run_apart() {
  local code=0
  set -m # a process group of its own, which can be ended as a whole
  (trap - INT TERM && "$@") </dev/null &
  set +m
  echo "$$ $!" >"$STATE/running"
  wait $! || code=$?
  rm -f "$STATE/running"
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
  rm -f "$STATE/running"
}

cancel() {
  trap '' INT TERM
  [[ -s $STATE/running ]] || echo "$$ ${!:-}" >"$STATE/running" # begun a moment ago, and not noted yet
  end_apart
  echo "the deployment was cancelled" >"$STATE/why"
  put_back
  exit 1
}

try_image() {
  local url told
  ask_target_aloud target_deploy "$1" || return
  url=$(ask_target target_url) || { echo "the target does not say where it answers" >"$STATE/why" && return 1; }
  told=$(sed -E 's|//[^/]*@|//|' <<<"$url") # a password is for nobody who reads messages and summaries
  echo "$told" >"$STATE/url"
  set_output url "$told"
  wait_for_revision "$url" "$APP_REVISION" || return
  run_smoke_tests "$url" || return
  ! has_function target_confirm || ask_target_aloud target_confirm
}

# Shows what the target says, and notes why it failed.
ask_target_aloud() {
  local code=0
  ask_target "$@" 2>"$STATE/log" || code=$?
  cat "$STATE/log" >&2
  ((code == 0)) && return
  [[ -s $STATE/why ]] || find_error 'the new version did not start' <"$STATE/log" >"$STATE/why"
  return "$code"
}

# find_error ELSE: prints the title of the last error that standard input announces.
find_error() {
  local title
  title=$(sed -n 's/.*::error title=\([^:]*\)::.*/\1/p' | tail -n 1)
  echo "${title:-$1}"
}

# Puts back what was noted; does not return if that fails.
put_back() {
  local why previous now after code=0
  why=$(read_state why) previous=$(read_state previous) after=$(count_seconds began)
  trap '' INT TERM
  say error "Not deployed" "$APP_VERSION: $why. This was known after $after."
  show_logs
  echo "$EPOCHSECONDS" >"$STATE/verdict"
  run_apart ask_target target_rollback "$previous" || code=$?
  if ((code == NOT_OURS)); then
    conclude failed "$why"
    tell ❌ "Not deployed" "$APP_VERSION was not deployed, because $why. Another deployment has come since: what it deployed stays, and nothing was put back."
    return 0
  fi
  if ((code == 0)) && now=$(serves_again); then
    now+=" It took $after to find out, and $(count_seconds verdict) to go back."
    if [[ $previous ]]; then
      conclude rolled-back "$why"
      tell ❌ "Rolled back" "$APP_VERSION was not deployed, because $why. $now"
    else
      conclude failed "$why"
      tell ❌ "Not deployed" "$APP_VERSION was not deployed, because $why. Nothing served before, and nothing serves now."
    fi
    return 0
  fi
  : "${now:=What served before could not be put back: the log says why.}"
  conclude rollback-failed "$why"
  tell 🔥 "The rollback failed too" "$APP_VERSION was not deployed, because $why. $now Look at the target now. To try again, re-run this job. To deploy a version that worked: Actions → CD → Run workflow, with its number; for production from its tag: gh workflow run cd.yml --ref v1.2.3 -f environment=production -f version=v1.2.3"
  say error "The rollback failed too" "${ENVIRONMENT_NAME:-This environment} needs somebody now. $now"
  exit 3
}

# Shows what the version that failed has logged; it is not for GitHub to obey.
show_logs() {
  local token text
  text=$(ask_target target_logs 2>&1 | tail -n 60) || true
  [[ $text ]] || return 0
  token=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
  printf 'The log of the new version:\n::stop-commands::%s\n%s\n::%s::\n' "$token" "$text" "$token"
}

# Says whether what served before does so again, as far as it did; prints how it stands.
serves_again() {
  local revision url why deadline=$((SECONDS + ${ROLLBACK_TIMEOUT:-60}))
  revision=$(read_state revision)
  if [[ ! $(read_state answered) ]]; then
    echo "What was there before is put back. It did not answer before either: look at it."
    return 0
  fi
  url=$(ask_target target_url) || { echo "The target does not say where it answers." && return 1; }
  until why=$(look "$url" "$revision"); do
    ((SECONDS < deadline)) || { echo "What served before is put back, but $why." && return 1; }
    sleep 0.5
  done
  for _ in {1..10}; do
    why=$(look_ready "$url") && echo "What served before serves again." && return 0
    sleep 0.5
  done
  echo "What served before answers again, but $why: look at what it needs."
}

# tell MARK TITLE TEXT
tell() {
  echo "$2: $3"
  say summary "$1 $2" "$3"
}

rollback() {
  case $(read_state outcome) in
    changing | rollback-failed) ;;
    *) echo 'There is nothing to put back.' && return ;;
  esac
  choose_target
  end_apart
  [[ -s $STATE/why ]] || echo "the deployment was ended in the middle" >"$STATE/why"
  put_back
}

refuse() {
  tell ❌ "Refused" "Nobody has to approve deployments to this environment, so anybody who may push a tag could deploy. Protect it: uv run poe setup-github --apply --reviewer LOGIN. If this is meant: gh variable set DEPLOY_UNAPPROVED --body true."
  say error Refused "Nobody has to approve deployments to this environment. The job summary says how to change that."
  return 1
}

main() {
  STATE=${DEPLOY_STATE:-${RUNNER_TEMP:-/tmp}/deploy}
  APP_VERSION=${APP_VERSION:-the new version}
  # Whose deployment it is: a re-run goes on with it, another run does not touch it.
  DEPLOYMENT="${GITHUB_REPOSITORY:-$(hostname)} ${DEPLOY_ENVIRONMENT:-${ENVIRONMENT_NAME:-}} run ${GITHUB_RUN_ID:-$STATE}"
  export APP_VERSION DEPLOYMENT STATE no_proxy="127.0.0.1,${no_proxy:-${NO_PROXY:-}}"
  export -f ask end_watch find_revision is_outage look look_ready read_state repeat run_smoke_tests try_smoke_tests wait_until_ready watch_ready
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
