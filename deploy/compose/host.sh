#!/usr/bin/env bash
# Run the app as two copies behind a proxy: a new version gets traffic only after it has proved itself.
# This runs where the containers run: on a server behind gate.sh, on a runner for the rehearsal.
set -euo pipefail

HERE=$(realpath "$(dirname "${BASH_SOURCE[0]}")")

show_help() {
  cat <<'HELP'
usage: host.sh stage IMAGE VERSION REVISION | switch PREVIEW | rollback [IMAGE VERSION] | current | url | logs | remove

  stage     migrate, start IMAGE beside what serves, wait until REVISION is ready there, print the
            value of the header X-Preview that leads to it; standard input has NAME=VALUE lines:
            DATABASE_URL and ENVIRONMENT_NAME for the app, REGISTRY, REGISTRY_USER and
            REGISTRY_TOKEN to pull it
  switch    give what PREVIEW leads to the traffic, stop the other copy
  rollback  give the traffic to IMAGE, called VERSION; without them nothing serves
  current   print the image and the version that serve, nothing if none does
  url       print where the proxy answers on this machine
  logs      print the last lines of the copies
  remove    remove containers and data

Environment: HOST_FOLDER, where the state is kept (/var/lib/app); HOST_TIMEOUT (60), seconds for a
start. The file proxy.env there sets the proxy: HTTP_BIND and HTTPS_BIND, such as 80 and 443 (free
ports of 127.0.0.1); SITE_ADDRESS, such as app.example.com.
HELP
}

compose() {
  docker compose --ansi never --progress quiet --project-name "$HOST_PROJECT" \
    --file "$HERE/compose.yaml" --env-file "$HOST_FOLDER/proxy.env" --env-file "$HOST_FOLDER/images.env" "$@"
}

prepare() {
  export HOST_FOLDER=${HOST_FOLDER:-/var/lib/app}
  HOST_PROJECT=$(basename "$HOST_FOLDER")-$(cksum <<<"$HOST_FOLDER" | cut -d ' ' -f 1)
  SERVING=''
  mkdir -p "$HOST_FOLDER/live"
  (umask 077 && touch "$HOST_FOLDER"/{images,proxy,settings}.env)
  # The lock is held until the process and all that it started have ended.
  exec 9>"$HOST_FOLDER/lock"
  flock --wait "${HOST_TIMEOUT:-60}0" 9 || fail "Another deployment has been running for too long"
  rm -rf "$HOST_FOLDER"/pull.* # of one that was killed
  SERVING=$(read_state serving)
  case $SERVING in blue) IDLE=green ;; *) IDLE=blue ;; esac
}

# fail REASON
fail() {
  echo "::error title=${1//:/}::${SERVING:+What served before still serves.}" >&2
  exit 1
}

read_state() {
  cat "$HOST_FOLDER/$1" 2>/dev/null || true
}

# write_state NAME: standard input becomes the state, at once or not at all.
write_state() {
  cat >"$HOST_FOLDER/$1.new"
  mv "$HOST_FOLDER/$1.new" "$HOST_FOLDER/$1"
}

# find_image COPY, find_version COPY
find_image() { sed -n "s/^${1^^}_IMAGE=//p" "$HOST_FOLDER/images.env"; }
find_version() { sed -n "s/^${1^^}_VERSION=//p" "$HOST_FOLDER/images.env"; }

# set_image COPY IMAGE VERSION
set_image() {
  { grep -v "^${1^^}_" "$HOST_FOLDER/images.env" || true
    printf '%s_IMAGE=%s\n%s_VERSION=%s\n' "${1^^}" "$2" "${1^^}" "$3"; } | write_state images.env
}

show_current() {
  [[ ! $SERVING ]] || echo "$(find_image "$SERVING") $(find_version "$SERVING")"
}

# Reads NAME=VALUE lines: what the app is to see is kept, for its restarts; credentials are not.
read_settings() {
  local name value
  REGISTRY='' REGISTRY_USER='' REGISTRY_TOKEN=''
  while IFS='=' read -r name value; do
    case $name in
      DATABASE_URL | ENVIRONMENT_NAME)
        [[ $value != *\'* ]] || fail "$name must not have a quotation mark; in a URL it is %27"
        [[ ! $value ]] || printf "%s='%s'\n" "$name" "$value" ;;
      REGISTRY) REGISTRY=$value ;;
      REGISTRY_USER) REGISTRY_USER=$value ;;
      REGISTRY_TOKEN) REGISTRY_TOKEN=$value ;;
      *) fail "The setting ${name:0:40} is not known" ;;
    esac
  done > >(umask 077 && write_state settings.env)
  wait $!
}

pull() {
  docker image inspect "$1" >/dev/null 2>&1 && return
  local credentials code=0
  credentials=$(mktemp --directory "$HOST_FOLDER/pull.XXXXXX")
  if [[ $REGISTRY_TOKEN ]]; then
    docker --config "$credentials" login --username "$REGISTRY_USER" --password-stdin "$REGISTRY" \
      <<<"$REGISTRY_TOKEN" >/dev/null 2>&1 || echo "The registry $REGISTRY does not take the credentials" >&2
  else
    rm -r "$credentials" && credentials=${DOCKER_CONFIG:-$HOME/.docker}
  fi
  docker --config "$credentials" pull --quiet "$1" >&2 || code=$?
  [[ ! $REGISTRY_TOKEN ]] || rm -r "$credentials"
  ((code == 0)) || fail "The image $1 cannot be pulled"
}

# start IMAGE VERSION: in the idle copy, with nothing left of what it was before.
start() {
  compose rm --force --stop "$IDLE" >/dev/null 2>&1
  set_image "$IDLE" "$1" "$2"
  compose up --detach --no-deps --wait --wait-timeout "${HOST_TIMEOUT:-60}" "$IDLE" >&2 && return
  explain "$2 does not get healthy"
}

# explain REASON: shows the log of the idle copy, removes it, fails.
explain() {
  show_logs "$IDLE" >&2
  compose rm --force --stop "$IDLE" >/dev/null 2>&1
  fail "$1"
}

# ask PATH: from inside the idle copy, so that the server needs no client; prints the answer.
ask() {
  compose exec -T "$IDLE" python -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())' \
    "http://127.0.0.1:8000$1" 2>/dev/null
}

# wait_for PATH TEXT: until the answer of the idle copy has the text.
wait_for() {
  local deadline=$((SECONDS + ${READY_TIMEOUT:-15}))
  while ((SECONDS < deadline)); do
    [[ $(ask "$1") != *"$2"* ]] || return 0
    sleep 0.3
  done
  return 1
}

# Makes the files that the proxy looks up say what the state says.
direct_traffic() {
  local live=$HOST_FOLDER/live
  rm -f "$live"/preview-*
  if [[ $SERVING ]]; then
    touch "$live/$SERVING"
    sleep 0.2 # never at the same moment: a request that is being looked up finds one of them
  fi
  rm -f "$live/$IDLE"
  [[ $SERVING ]] || rm -f "$live"/{blue,green}
  compose up --detach --no-recreate proxy >&2
}

stage() {
  local image=$1 version=$2 revision=$3 preview
  read_settings
  pull "$image"
  direct_traffic # an earlier deployment may have been killed between the state and the proxy
  set_image "$IDLE" "$image" "$version"
  compose rm --force --stop "$IDLE" >/dev/null 2>&1
  compose run --rm --no-deps -T "$IDLE" migrate </dev/null 2>&1 | quote_log >&2 || explain "The migrations of $version failed"
  start "$image" "$version"
  wait_for /health "$revision" || explain "$version answers with another revision"
  wait_for /ready ready || explain "$version is not ready"
  preview=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
  touch "$HOST_FOLDER/live/preview-$IDLE-$preview"
  echo "$preview"
}

# switch PREVIEW: another deployment may have taken the place of what was looked at.
switch() {
  [[ -f $HOST_FOLDER/live/preview-$IDLE-${1:-none} ]] || fail "Another deployment came between"
  take_over
}

take_over() {
  local before=$SERVING
  serve "$IDLE"
  [[ ! $before ]] || compose stop "$before" >&2
}

# serve COPY
serve() {
  echo "$1" | write_state serving
  SERVING=$1
  case $SERVING in blue) IDLE=green ;; *) IDLE=blue ;; esac
  direct_traffic
}

rollback() {
  local image=${1:-} version=${2:-}
  if [[ ! $image ]]; then
    serve ''
    compose rm --force --stop blue green >/dev/null 2>&1
    return
  fi
  if [[ $(show_current) == "$image $version" && $(compose ps --quiet --status running "$SERVING") ]]; then
    direct_traffic
    compose rm --force --stop "$IDLE" >/dev/null 2>&1
    return
  fi
  start "$image" "$version"
  take_over
}

show_logs() {
  compose logs --no-color --tail 30 "$@" 2>&1 | quote_log || true
}

# What a version prints is not for GitHub to obey, wherever it ends up.
quote_log() {
  sed 's/\x1b\[[0-9;]*[A-Za-z]//g; s/##\[/## [/g; s/^/| /'
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  prepare
  case ${1:-} in
    stage) stage "${@:2:3}" ;;
    switch) switch "${2:-}" ;;
    rollback) rollback "${@:2:2}" ;;
    current) show_current ;;
    url) echo "http://$(compose port proxy 80 2>/dev/null || echo 127.0.0.1:1)" ;;
    logs) show_logs blue green ;;
    remove) compose --profile app down --volumes --timeout 1 && rm -rf "$HOST_FOLDER" ;;
    *) show_help >&2 && return 2 ;;
  esac
}

main "$@"
