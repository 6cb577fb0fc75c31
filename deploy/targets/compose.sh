#!/usr/bin/env bash
# Containers on a server, over SSH. deploy/compose/setup_server.sh makes the server ready for it.
#
# DEPLOY_SSH_KEY      private key that may deploy there and nothing else
# DEPLOY_HOST         name or address of the server
# DEPLOY_KNOWN_HOSTS  its host keys, as lines of a known_hosts file
# DEPLOY_USER         whose account it is (deploy)
# DEPLOY_PORT         port of its SSH server (22)
# DEPLOY_URL          where the app answers (https://DEPLOY_HOST)
# DATABASE_URL        what the app gets, and
# REGISTRY_TOKEN      what pulls the image: they reach the server through standard input, not as arguments

# Every function that connects is a subshell of its own, so that its key goes when it ends, however it ends.

target_current() (
  ssh_forget
  ssh_open || exit
  ssh_ask current
)

target_deploy() (
  ssh_open || exit
  preview=$(ssh_describe_settings "$1" | ssh_ask stage "$1" "$APP_VERSION" "$APP_REVISION") || exit
  run_smoke_tests "$(target_url)" "X-Preview: $preview" || exit
  ssh_ask switch "$preview"
)

target_confirm() (
  ssh_open || exit
  ssh_ask confirm
)

target_keep() (
  ssh_open || exit
  ssh_ask keep # the next one comes soon
)

target_rollback() (
  ssh_forget
  ssh_open || exit
  # shellcheck disable=SC2086
  ssh_ask rollback $1
)

target_url() {
  echo "${DEPLOY_URL:-https://${DEPLOY_HOST:-}}"
}

target_logs() (
  ssh_open || exit
  ssh_ask logs
)

# Removes what a deployment that was killed has left here.
ssh_forget() {
  [[ ! ${RUNNER_TEMP:-} ]] || rm -rf "$RUNNER_TEMP"/compose.*
}

# Checks the settings; writes the key and the host keys into a folder that goes with the shell.
ssh_open() {
  local keys=$'\n'
  : "${DEPLOY_USER:=deploy}" "${DEPLOY_PORT:=22}"
  type ssh ssh-keygen >/dev/null 2>&1 || { ssh_fail 'ssh is missing' 'Install OpenSSH where this job runs.' || return; }
  ssh_require DEPLOY_HOST 'gh variable set DEPLOY_HOST' || return
  ssh_require DEPLOY_KNOWN_HOSTS 'gh variable set DEPLOY_KNOWN_HOSTS' || return
  ssh_require DEPLOY_SSH_KEY 'gh secret set DEPLOY_SSH_KEY' || return
  ssh_check DEPLOY_HOST '^[A-Za-z0-9][A-Za-z0-9.:-]*$' || return
  ssh_check DEPLOY_USER '^[A-Za-z_][A-Za-z0-9_.-]*$' || return
  ssh_check DEPLOY_PORT '^[0-9]{1,5}$' || return
  umask 077
  SSH_FOLDER=$(mktemp --directory "${RUNNER_TEMP:-/tmp}/compose.XXXXXX") || return
  trap 'rm -rf "$SSH_FOLDER"' EXIT
  trap 'kill ${SSH_PROCESS:-} 2>/dev/null; exit 143' INT TERM
  keys+=${DEPLOY_KNOWN_HOSTS//$'\r'/}
  echo "$keys" >"$SSH_FOLDER/known_hosts"
  echo "${DEPLOY_SSH_KEY//$'\r'/}" >"$SSH_FOLDER/key"
  unset DEPLOY_SSH_KEY
  ssh-keygen -y -P '' -f "$SSH_FOLDER/key" >/dev/null 2>&1 </dev/null && return
  ssh_fail 'DEPLOY_SSH_KEY is no private key without passphrase' \
    'Store the whole file, with its first and last line: gh secret set DEPLOY_SSH_KEY'"$(ssh_place) <FILE"
}

# ssh_require NAME COMMAND
ssh_require() {
  [[ ${!1:-} ]] && return
  ssh_fail "$1 is not set" "Run: $2$(ssh_place). deploy/compose/setup_server.sh prints its value."
}

# ssh_check NAME PATTERN
ssh_check() {
  [[ ${!1} =~ $2 ]] && return
  ssh_fail "$1 has a wrong value" "Set it anew: gh variable set $1$(ssh_place)"
}

ssh_place() {
  [[ ! ${DEPLOY_ENVIRONMENT:-} ]] || echo " --env $DEPLOY_ENVIRONMENT"
}

# Runs a command of the gate, with the settings that are given as standard input; says what to do when
# the connection fails. The gate explains the rest. A command whose connection is lost is sent again:
# the server takes each of them more than once.
ssh_ask() {
  local code settings=DEPLOYMENT=$DEPLOYMENT told='' pause=1 deadline=$((SECONDS + ${PATIENCE:-60}))
  [[ $1 != stage ]] || settings+=$'\n'$(cat)
  while true; do
    code=0
    ssh -F none -T -i "$SSH_FOLDER/key" -p "$DEPLOY_PORT" -o BatchMode=yes -o IdentitiesOnly=yes \
      -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=\"$SSH_FOLDER/known_hosts\"" -o GlobalKnownHostsFile=/dev/null \
      -o UpdateHostKeys=no -o ConnectTimeout=10 -o ServerAliveInterval=5 -o LogLevel=ERROR \
      -- "$DEPLOY_USER@$DEPLOY_HOST" "$*" <<<"$settings" >"$SSH_FOLDER/answer" 2>"$SSH_FOLDER/error" &
    SSH_PROCESS=$!
    wait "$SSH_PROCESS" || code=$? # a signal ends this at once
    if ((code != 255 || SECONDS >= deadline)) || grep -qE 'verification failed|Permission denied' "$SSH_FOLDER/error"; then break; fi
    [[ $told ]] || echo "Waiting for $DEPLOY_HOST: $(tail -n 1 "$SSH_FOLDER/error")" >&2
    told=true
    sleep "$pause"
    ((pause = pause < 27 ? pause * 3 : pause)) # a firewall that limits connections counts those that it refuses
  done
  cat "$SSH_FOLDER/error" >&2
  cat "$SSH_FOLDER/answer"
  ((code != 255)) || ssh_explain "$(<"$SSH_FOLDER/error")"
  return "$code"
}

ssh_explain() {
  local where="$DEPLOY_HOST, port $DEPLOY_PORT"
  case $1 in
    *'Host key verification failed'*)
      ssh_fail "The host key of $DEPLOY_HOST is not in DEPLOY_KNOWN_HOSTS" \
        "Either it is not your server, or it has a new key. On the server, run deploy/compose/setup_server.sh again: it prints the right value. Do not take it from the network." ;;
    *'Permission denied'*)
      ssh_fail "$DEPLOY_HOST does not accept DEPLOY_SSH_KEY for $DEPLOY_USER" \
        "Give its public half to deploy/compose/setup_server.sh on the server, whose AllowUsers must let $DEPLOY_USER in, or store the right key: gh secret set DEPLOY_SSH_KEY$(ssh_place) <FILE" ;;
    *'Could not resolve'* | *'timed out'* | *'refused'* | *'No route'* | *'unreachable'*)
      ssh_fail "$DEPLOY_HOST cannot be reached" \
        "Does $where have an SSH server that GitHub's runners can reach? Else set DEPLOY_HOST and DEPLOY_PORT anew." ;;
    *) ssh_fail "The connection to $DEPLOY_HOST was lost" 'The log above says why. Run the job again: it goes on from where this one ended.' ;;
  esac
}

ssh_fail() {
  echo "::error title=$1::$2" >&2
  return 1
}

# ssh_describe_settings IMAGE
ssh_describe_settings() {
  local line
  for line in "ENVIRONMENT_NAME=${ENVIRONMENT_NAME:-${DEPLOY_ENVIRONMENT:-}}" "DATABASE_URL=${DATABASE_URL:-}" \
    "REGISTRY=${1%%/*}" "REGISTRY_USER=${GITHUB_ACTOR:-}" "REGISTRY_TOKEN=${REGISTRY_TOKEN:-}" \
    "TIMEOUT=${DEPLOY_TIMEOUT:-}"; do
    [[ ! ${line#*=} ]] || echo "${line//[$'\r\n']/}"
  done
}
