#!/usr/bin/env bash
# Run the app as two copies behind a proxy: a new version gets traffic only after it has proved itself.
# This runs where the containers run: on a server behind gate.sh, on a runner for the rehearsal.
set -euo pipefail

HERE=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
OTHERS=75 # the exit code when another deployment stays as it is

show_help() {
  cat <<'HELP'
usage: host.sh stage IMAGE VERSION REVISION | switch PREVIEW | confirm | rollback [IMAGE VERSION] |
               keep | current | url | logs | remove

  stage     migrate, start IMAGE beside what serves, wait until REVISION is ready there, print the
            value of the header X-Preview that leads to it
  switch    give what PREVIEW leads to the traffic, stop the other copy
  confirm   it has proved itself: from now on this is what a rollback leads to
  rollback  give the traffic back to what served before; IMAGE, called VERSION, if that is not noted
  keep      the deployment goes on; without a sign for 30 seconds it counts as abandoned
  current   print the image and the version that were confirmed last, nothing if none was
  url       print where the proxy answers on this machine
  logs      print the last lines of the copy that is being deployed, else of both
  remove    remove containers and data

Standard input has NAME=VALUE lines: DEPLOYMENT, whose deployment it is (nobody's: a person who may do
anything); for stage also DATABASE_URL and ENVIRONMENT_NAME for the app, REGISTRY, REGISTRY_USER and
REGISTRY_TOKEN to pull it, and TIMEOUT, seconds for its start. Each step may be repeated.

Environment: HOST_FOLDER, where the state is kept (/var/lib/app); HOST_TIMEOUT (60), seconds for a
start; PATIENCE (60), seconds to wait for the registry or for another deployment. The file proxy.env
there sets the proxy: HTTP_BIND and HTTPS_BIND, such as 80 and 443 (free ports of 127.0.0.1);
SITE_ADDRESS, such as app.example.com. Ends with 0, 1 if it failed, 75 if another deployment stays.
HELP
}

compose() {
  docker compose --ansi never --progress quiet --project-name "$HOST_PROJECT" \
    --file "$HERE/compose.yaml" --env-file "$HOST_FOLDER/proxy.env" --env-file "$HOST_FOLDER/images.env" "$@"
}

# name_container SERVICE: as docker compose names it. One container is asked without docker compose, which takes longer.
name_container() { echo "$HOST_PROJECT-$1-1"; }
is_running() { [[ $(docker ps --quiet --filter status=running --filter "name=^$(name_container "$1")$") ]]; }

prepare() {
  export LIVE HOST_FOLDER=${HOST_FOLDER:-/var/lib/app}
  HOST_PROJECT=$(basename "$HOST_FOLDER")-$(cksum <<<"$HOST_FOLDER" | cut -d ' ' -f 1)
  DEPLOYMENT=''
  mkdir -p "$HOST_FOLDER/live"
  LIVE=$(stat --format='%i %W' "$HOST_FOLDER/live")
  (umask 077 && for name in app images proxy blue green; do [[ -e $HOST_FOLDER/$name.env ]] || touch "$HOST_FOLDER/$name.env"; done)
  read_serving
}

read_serving() {
  SERVING=$(read_state serving)
  case $SERVING in blue) IDLE=green ;; *) IDLE=blue ;; esac
}

# fail REASON [EXIT CODE]
fail() {
  local now='' before
  before=$(show_current)
  [[ ! $before || $before != "$(describe "$(read_state serving)")" ]] || now='What served before still serves.'
  echo "::error title=${1//:/}::$now" >&2
  exit "${2:-1}"
}

read_state() {
  cat "$HOST_FOLDER/$1" 2>/dev/null || true
}

# write_state NAME: standard input becomes the state, at once or not at all.
write_state() {
  cat >"$HOST_FOLDER/$1.new" || fail 'The state cannot be written: is the disk full?'
  mv "$HOST_FOLDER/$1.new" "$HOST_FOLDER/$1"
}

# What the last deployment was told: OWNER, STATE (open, done, undone), PREVIOUS, COPY, PREVIEW.
find_note() { sed -n "s/^$1=//p" "$HOST_FOLDER/deployment" 2>/dev/null || true; }

# note NAME=VALUE...
note() {
  local line
  { for line in "$@"; do echo "$line"; done
    grep -vE "^($(printf '%s|' "${@%%=*}")-)=" "$HOST_FOLDER/deployment" 2>/dev/null || true; } | write_state deployment
}

is_open() { [[ $(find_note STATE) == open ]]; }
is_ours() { [[ ! $DEPLOYMENT || $(find_note OWNER) == "$DEPLOYMENT" ]]; }

# Another deployment is under way: whoever drives it has given a sign of life.
is_taken() {
  local age
  is_open && ! is_ours || return
  age=$((EPOCHSECONDS - $(stat --format=%Y "$HOST_FOLDER/deployment")))
  ((${age#-} < ${HOST_LEASE:-30})) # the clock may have been set
}

# lock COMMAND: waits for what else runs. Of two deployments the earlier one stays, the later one is
# told; a stage that nobody waits for any more is ended.
lock() {
  local told='' deadline=$((SECONDS + ${PATIENCE:-60})) owner
  exec 9>"$HOST_FOLDER/lock"
  while true; do
    if flock --nonblock 9; then
      if [[ $1 != stage ]] || ! is_taken; then break; fi
      flock --unlock 9 # whoever is at it needs the lock
    elif ! is_taken; then
      end_stage
    fi
    owner=$(find_note OWNER)
    if ((SECONDS >= deadline)); then
      [[ ! $DEPLOYMENT ]] || ! is_ours || fail 'What this deployment has begun here does not end'
      fail "Another deployment is under way here, of ${owner:-somebody}" "$OTHERS"
    fi
    [[ $told ]] || echo "Waiting for the deployment of ${owner:-somebody}, which is under way here." >&2
    told=true
    sleep 0.3
  done
  # The lock is held until the process and all that it started have ended.
  echo "$$ $1" >"$HOST_FOLDER/running"
  rm -rf "$HOST_FOLDER"/pull.* # of one that was killed
  read_serving
  [[ $1 == stage && $told && $(find_note STATE) == 'done' ]] && ! is_ours && refuse_to_replace
  return 0
}

# Ends a stage that goes on although its deployment was given up, and the migration with it.
end_stage() {
  local process command
  read -r process command <"$HOST_FOLDER/running" || return 0
  [[ $command == stage && $(tr '\0' ' ' <"/proc/$process/cmdline" 2>/dev/null) == *host.sh* ]] || return 0
  # shellcheck disable=SC2046
  kill -TERM "$process" $(list_descendants "$process") 2>/dev/null || true
  remove_containers oneoff=True
}

# remove_containers LABEL=VALUE: nothing waits for what has no traffic.
remove_containers() {
  local containers
  containers=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$HOST_PROJECT" --filter "label=com.docker.compose.$1")
  # shellcheck disable=SC2086
  [[ ! $containers ]] || docker rm --force $containers >/dev/null 2>&1 || true # one may go by itself meanwhile
}

list_descendants() {
  local child
  while read -r child; do
    list_descendants "$child"
    echo "$child"
  done < <(cat "/proc/$1"/task/*/children 2>/dev/null | tr ' ' '\n')
}

# find_image COPY, find_version COPY
find_image() { sed -n "s/^${1^^}_IMAGE=//p" "$HOST_FOLDER/images.env"; }
find_version() { sed -n "s/^${1^^}_VERSION=//p" "$HOST_FOLDER/images.env"; }

# set_image COPY IMAGE VERSION
set_image() {
  { grep -v "^${1^^}_" "$HOST_FOLDER/images.env" || true
    printf '%s_IMAGE=%s\n%s_VERSION=%s\n' "${1^^}" "$2" "${1^^}" "$3"; } | write_state images.env
}

describe() {
  [[ ! ${1:-} ]] || echo "$(find_image "$1") $(find_version "$1")"
}

show_current() {
  if is_open; then find_note PREVIOUS; else describe "$(read_state serving)"; fi
}

# Reads NAME=VALUE lines: what the app is to see is kept, for its restarts; credentials are not.
read_input() {
  local name value
  REGISTRY='' REGISTRY_USER='' REGISTRY_TOKEN='' SETTINGS=''
  [[ ! -t 0 ]] || return 0 # a person has nothing to say
  while read -r value; do
    name=${value%%=*} value=${value#*=} # read itself would cut an = at the end
    case $name in
      DEPLOYMENT) DEPLOYMENT=$(tr -cd 'A-Za-z0-9 ._/:-' <<<"${value:0:200}") ;;
      DATABASE_URL | ENVIRONMENT_NAME)
        [[ $value != *\'* && $value != *\\ ]] || fail "$name must not have ' and not end with \\: in a URL they are %27 and %5C"
        [[ ! $value ]] || SETTINGS+="$name='$value'"$'\n' ;;
      REGISTRY) REGISTRY=$value ;;
      REGISTRY_USER) REGISTRY_USER=$value ;;
      REGISTRY_TOKEN) REGISTRY_TOKEN=$value ;;
      TIMEOUT) [[ ! $value =~ ^[1-9][0-9]{0,3}$ ]] || HOST_TIMEOUT=${HOST_TIMEOUT:-$value} ;;
      *) fail "The setting ${name:0:40} is not known here, run setup_server.sh of this version on the server" ;;
    esac
  done
}

pull() {
  docker image inspect "$1" >/dev/null 2>&1 && return
  repeat registry try_to_pull "$1" && return
  quote_log <"$HOST_FOLDER/log" >&2
  ! is_away registry || fail 'The registry does not answer'
  fail "The image ${1%@*} cannot be pulled"
}

declare -A AWAY # what is said while something is away
AWAY[engine]='cannot connect to the docker daemon' # which starts later than the SSH server
AWAY[registry]='refused|reset|closed the|timed? ?out|no such host|name resolution|\bEOF\b|unreachable|no route'
AWAY[registry]+='|temporar|unavailable|too ?many ?requests|\b(429|50[0234])\b'
# Of a migration anybody may write the log: what is no outage for certain is not run again.
AWAY[database]='connection (was )?(refused|reset|timed out)|connect call failed|can.t connect to|timeout expired|closed the connection|could not translate host'
AWAY[database]+='|name resolution|service not known|starting up|shutting down|network is unreachable|no route to host'

# repeat WHAT COMMAND...: runs it, what it says goes to the file log. While it fails because the engine
# or WHAT, the registry or database, is away, it is run again, for PATIENCE seconds.
repeat() {
  local what=$1 told='' deadline=$((SECONDS + ${PATIENCE:-60}))
  shift
  until "$@" >"$HOST_FOLDER/log" 2>&1; do
    ((SECONDS < deadline)) && { is_away "$what" || is_away engine; } || return
    [[ $told ]] || echo "Waiting for the $(is_away engine && echo engine || echo "$what"): $(tail -n 1 "$HOST_FOLDER/log" | quote_log)" >&2
    told=true
    sleep 1
  done
}

is_away() {
  tail -n 5 "$HOST_FOLDER/log" | grep -qiE "${AWAY[$1]}"
}

try_to_pull() {
  local credentials code=0
  credentials=$(mktemp --directory "$HOST_FOLDER/pull.XXXXXX")
  if [[ $REGISTRY_TOKEN ]]; then
    docker --config "$credentials" login --username "$REGISTRY_USER" --password-stdin "$REGISTRY" \
      <<<"$REGISTRY_TOKEN" >/dev/null 2>&1 || echo "The registry $REGISTRY does not take the credentials"
  else
    rm -r "$credentials" && credentials=${DOCKER_CONFIG:-$HOME/.docker}
  fi
  docker --config "$credentials" pull --quiet "$1" || code=$?
  [[ ! $REGISTRY_TOKEN ]] || rm -r "$credentials"
  return "$code"
}

# migrate COPY VERSION: a container of its own, which goes when it ends.
migrate() {
  local code=0
  repeat database compose run --rm --no-deps -T "$1" migrate </dev/null || code=$?
  quote_log <"$HOST_FOLDER/log" >&2
  ((code)) || return 0
  if grep -q 'executable file not found' "$HOST_FOLDER/log"; then
    echo "$2 has no command migrate: nothing is migrated." >&2
  else
    ! is_away database || fail 'The database does not answer'
    fail "The migrations of $2 failed"
  fi
}

# prove COPY REVISION [SECONDS]: waits until it answers and, so many seconds longer, until it is ready;
# prints why it is not, or what it does not tell.
prove() {
  local answer code end deadline=$((SECONDS + ${HOST_TIMEOUT:-60}))
  while true; do
    code=0
    answer=$(docker exec --interactive "$(name_container "$1")" python - "$2" $((deadline - SECONDS)) ${3:+"$3"} <"$HERE/probe.py" 2>/dev/null) || code=$?
    if ((code == 0 || code == 3)); then break; fi # else Docker says that there is nothing to ask
    answer='does not run'
    if end=$(find_end "$1"); then answer=$end && break; fi
    ((SECONDS < deadline)) || break
    sleep 0.3
  done
  echo "$answer"
  return "$code"
}

# Says how a copy ended that was started again in vain, as many times as it takes to be no accident.
find_end() {
  local container restarts code waits
  container=$(name_container "$1")
  read -r restarts code waits < <(docker inspect --format '{{.RestartCount}} {{.State.ExitCode}} {{.State.Restarting}}' "$container" 2>/dev/null) || return
  ((restarts >= 3)) || return
  # While it runs once more, its exit code is 0.
  [[ $waits == true ]] || code=$(timeout 10 docker wait "$container") || return
  echo "ends with exit code $code, again and again"
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
}

# start [--no-recreate] SERVICE
start() {
  repeat engine compose up --detach --no-deps "$@" || ! quote_log <"$HOST_FOLDER/log" >&2
}

start_proxy() {
  is_running proxy || start --no-recreate proxy ||
    fail 'The proxy does not start. Is its port taken, or can its image not be pulled?'
}

stage() {
  local image=$1 version=$2 revision=$3 live preview why
  ! is_open || undo # of a deployment that was given up in the middle
  [[ $SETTINGS$(read_state app.env) == *DATABASE_URL=* ]] || ! grep -qs ^DATABASE_URL= "$HOST_FOLDER/$SERVING.env" ||
    fail 'DATABASE_URL is not set although what serves has one, so this version would begin with an empty database'
  live=$(docker inspect --format '{{index .Config.Labels "live"}}' "$(name_container proxy)" 2>/dev/null) || true
  [[ $SERVING && ${live:-$LIVE} == "$LIVE" ]] || remove proxy # it may look up the files of a state that is gone
  note "OWNER=$DEPLOYMENT" STATE=open "PREVIOUS=$(describe "$SERVING")" "COPY=$IDLE" PREVIEW=
  direct_traffic
  start_proxy
  pull "$image"
  remove "$IDLE"
  set_image "$IDLE" "$image" "$version"
  (umask 077 && printf %s "$SETTINGS" | write_state "$IDLE.env")
  migrate "$IDLE" "$version"
  start "$IDLE" || fail "$version cannot be started"
  why=$(prove "$IDLE" "$revision") || fail "$version $why"
  [[ $why != *revision* ]] || compare_label "$image" "$version" "$revision"
  [[ ! $why ]] || echo "$version $why" >&2
  preview=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
  touch "$HOST_FOLDER/live/preview-$IDLE-$preview"
  note "PREVIEW=$preview"
  echo "$preview"
}

# Of an app that does not tell its revision, the image does. If it does not either, it is what was started.
compare_label() {
  local label
  label=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "$1")
  [[ -z $label || -z $3 || $label == "$3" ]] || fail "$2 is the image of another revision, ${label:0:64}"
}

refuse_to_replace() {
  fail "Another deployment came first, of $(find_note OWNER), and $(find_version "$SERVING") stays. To replace it, deploy again" "$OTHERS"
}

# switch PREVIEW: another deployment may have taken the place of what was looked at.
switch() {
  local before=$SERVING
  is_ours && is_open && [[ $(find_note PREVIEW) == "${1:-none}" ]] || fail 'Another deployment came between' "$OTHERS"
  serve "$(find_note COPY)"
  drain "$before"
}

# drain COPY: a copy that has lost the traffic ends what it has begun to answer.
drain() {
  [[ ! $1 || $1 == "$SERVING" ]] || docker stop "$(name_container "$1")" >/dev/null || true # which may be gone
}

# serve COPY
serve() {
  echo "$1" | write_state serving
  read_serving
  direct_traffic
  [[ ! $1 ]] || start_proxy
}

confirm() {
  is_ours && [[ $(find_note STATE) != undone && $(find_note COPY) == "$SERVING" ]] || fail 'Another deployment came between' "$OTHERS"
  note STATE='done'
}

rollback() {
  local wanted=${*:-}
  if is_open; then
    undo
  else
    [[ $(describe "$SERVING") == "$wanted" ]] || is_ours || refuse_to_replace
    restore "$wanted"
  fi
}

# Puts back what was noted before the deployment that is open.
undo() {
  restore "$(find_note PREVIOUS)" "$(find_note COPY)"
  note STATE=undone
}

# restore "IMAGE VERSION" [COPY]: its copy, which is not COPY, is still there, with the settings of its
# time. It gets the traffic back even if it does not answer: it is what served, and what it misses may come back.
restore() {
  local copy why before=$SERVING
  if [[ ! $1 ]]; then
    serve ''
    remove blue green
    return
  fi
  for copy in ${SERVING:-$IDLE} blue green; do
    [[ $copy == "${2:-}" || $(describe "$copy") != "$1" ]] || break
  done
  if [[ $(describe "$copy") != "$1" ]]; then
    copy=$IDLE
    remove "$copy"
    set_image "$copy" "${1% *}" "${1##* }"
    [[ ! $SERVING ]] || (umask 077 && write_state "$copy.env" <"$HOST_FOLDER/$SERVING.env")
  fi
  if [[ $copy != "$SERVING" ]] || ! is_running "$copy"; then
    start --no-recreate "$copy" || true
    why=$(prove "$copy" '' 10) || echo "::warning title=${1##* } was put back, and $why::It gets the traffic all the same." >&2
  fi
  serve "$copy"
  drain "$before"
  remove "$IDLE"
}

# remove COPY...: and the migrations of it, which may go on although nobody waits for them.
remove() {
  local copy
  for copy in "$@"; do remove_containers "service=$copy"; done
}

show_logs() {
  local copy
  copy=$(is_open && find_note COPY || true)
  # shellcheck disable=SC2086
  compose logs --no-color --tail 40 ${copy:-blue green} 2>&1 | quote_log || true
}

# What a version prints is not for GitHub to obey, wherever it ends up.
quote_log() {
  sed 's/\x1b\[[0-9;]*[A-Za-z]//g; s/##\[/## [/g; s/^/| /'
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  prepare
  case ${1:-} in
    stage | switch | confirm | rollback)
      read_input
      [[ $1 != rollback ]] || ! is_taken || fail "Another deployment is under way here, of $(find_note OWNER)" "$OTHERS"
      # What a rollback writes finds room on a disk that the new version has filled.
      [[ $1 != rollback ]] || rm -f "$HOST_FOLDER"/reserve*
      lock "$1"
      [[ $1 != stage || -s $HOST_FOLDER/reserve ]] || head -c 65536 /dev/urandom | write_state reserve
      repeat engine docker ps --quiet || {
        quote_log <"$HOST_FOLDER/log" >&2
        echo '::error title=Docker cannot be used on the server::The log above says why.' >&2
        return 1
      }
      "$@" ;;
    keep)
      read_input
      ! { is_open && is_ours; } || touch "$HOST_FOLDER/deployment" ;;
    current) show_current ;;
    url) echo "http://$(docker port "$(name_container proxy)" 80 2>/dev/null | grep -m 1 . || echo 127.0.0.1:1)" ;;
    logs) show_logs ;;
    remove)
      lock remove
      compose --profile app down --volumes --timeout 1
      rm -rf "${HOST_FOLDER:?}"/*
      rmdir "$HOST_FOLDER" 2>/dev/null || true ;; # which is root's on a server
    *) show_help >&2 && return 2 ;;
  esac
}

main "$@"
