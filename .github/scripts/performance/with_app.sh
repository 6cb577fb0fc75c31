#!/usr/bin/env bash
# Run a command beside the app, started as it is deployed, and stop the app whatever happens.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: with_app.sh [OPTION…] APP COMMAND [ARGUMENT…]

Start the program APP (`APP serve --port P --workers N`) on a free port of this machine, wait until
/ready answers, warm it up, run COMMAND with BASE_URL=http://… in its environment, then stop the
app. Its database is the one of TEST_DATABASE_URL, moved to its schema by `APP migrate`; without
that, what the app makes in an empty folder that is thrown away. See with_postgres.sh.

  --workers=N      processes of the app (2)
  --output=FOLDER  where to keep app.log, app.json (workers, database, peak_memory_bytes),
                   metrics-before.txt and metrics-after.txt (app-results)
  --warm-up=PATH   what to ask before COMMAND until every process has answered (/ready)
  --start=SECONDS  how long the app may take to be ready, and then to warm up (60)
  --limit=SECONDS  how long COMMAND may take (900)
  --stop=SECONDS   how long COMMAND and the app may take to end when they are told to (10)
  --help           show this text

Exit code: that of COMMAND; 1 if the app did not start, or ended early; 2 for a wrong call;
124 if COMMAND was cut off.
TEXT
}

exec 3>&2
readonly LAST_LINES=20
WORKERS=2 OUTPUT=app-results WARM_UP=/ready START=60 LIMIT=900 STOP=10
APP_PID="" COMMAND_PID="" DIRECTORY="" PEAK=0

say() {
  echo "with_app.sh: $*" >&3
}

# Nobody can reserve a port: take one that nobody answers on, below those of clients.
find_port() {
  local port
  while true; do
    port=$((15000 + RANDOM % 17000))
    if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
  done
  echo "$port"
}

is_running() {
  [[ -n $1 ]] && kill -0 "$1" 2>/dev/null
}

# Every job has a process group of its own, so that nothing that it started is left behind.
# What bash itself says of jobs that were ended is of no interest.
end_job() {
  local deadline=$((SECONDS + STOP))
  {
    kill -s TERM "$1" || true
    while is_running "$1" && ((SECONDS < deadline)); do sleep 0.1; done
    if is_running "$1"; then say "warning: $2 did not end within $STOP seconds and was killed"; fi
    kill -s KILL -- "-$1" || true
    wait "$1" || true
  } 2>/dev/null
}

show_log() {
  say "the last lines of the app (all are in $OUTPUT/app.log):"
  tail -n "$LAST_LINES" "$OUTPUT/app.log" >&2
}

clean_up() {
  local code=$?
  trap - EXIT INT TERM
  if [[ -n $COMMAND_PID ]]; then end_job "$COMMAND_PID" "the command"; fi
  if [[ -n $APP_PID ]]; then
    if ((code)); then show_log; fi # before it writes that it stops
    end_job "$APP_PID" "the app"
  fi
  if [[ -n $DIRECTORY ]]; then rm -rf "$DIRECTORY"; fi
  exit "$code"
}

start_app() {
  unset DATABASE_URL # what is set by chance is not to be loaded
  if [[ -n ${TEST_DATABASE_URL:-} ]]; then
    export DATABASE_URL=$TEST_DATABASE_URL
    "$PROGRAM" migrate >>"$OUTPUT/app.log" 2>&1 || { say "error: the database could not be migrated"; show_log; exit 1; }
  fi
  export GRACEFUL_SHUTDOWN_SECONDS=$((STOP / 2 + 1))
  (cd "$DIRECTORY" && exec "$PROGRAM" serve --port "$1" --workers "$WORKERS") \
    >>"$OUTPUT/app.log" 2>&1 </dev/null &
  APP_PID=$!
}

ask() {
  curl --silent --show-error --max-time 5 "$@"
}

wait_until_ready() {
  local deadline=$((SECONDS + START)) answer="no answer"
  while ((SECONDS < deadline)); do
    if ! is_running "$APP_PID"; then
      say "error: the app ended before it was ready"
      exit 1
    fi
    answer=$(ask --output /dev/null --write-out 'status %{http_code}' "$BASE_URL/ready" 2>/dev/null) || true
    if [[ $answer == 'status 200' ]]; then return; fi
    sleep 0.2
  done
  say "error: the app was not ready within $START seconds: $BASE_URL/ready gave ${answer/status 000/no answer}"
  exit 1
}

# Until every worker has answered: those who come early would stay with the one that started first.
# If it fails, the command will tell.
warm_up() {
  local deadline=$((SECONDS + START)) seen
  while ((SECONDS < deadline)); do
    curl --silent --parallel --parallel-max 16 --fail-early --max-time 5 --output /dev/null \
      "$BASE_URL$WARM_UP?[1-200]" 2>/dev/null || return 0
    seen=$(ask "$BASE_URL/metrics" | grep -c '^process_resident_memory_bytes') || true
    if ((seen >= WORKERS)); then return; fi
  done
  say "warning: $seen of $WORKERS workers answered within $START seconds"
}

save_metrics() {
  if ! ask --fail --output "$OUTPUT/metrics-$1.txt" "$BASE_URL/metrics"; then
    say "error: $BASE_URL/metrics did not answer $1 the command"
    exit 1
  fi
}

measure_memory() {
  local now
  now=$(ps -A -o pgid= -o rss= | awk -v group="$APP_PID" '$1 == group { sum += $2 } END { print sum * 1024 }')
  if ((now > PEAK)); then PEAK=$now; fi
}

run_command() {
  local deadline=$((SECONDS + LIMIT)) code=0
  "$@" </dev/null &
  COMMAND_PID=$!
  while is_running "$COMMAND_PID"; do
    measure_memory
    if ! is_running "$APP_PID"; then
      say "error: the app ended while the command ran"
      exit 1
    fi
    if ((SECONDS >= deadline)); then
      say "error: the command took longer than $LIMIT seconds and was cut off"
      exit 124
    fi
    sleep 0.5
  done
  wait "$COMMAND_PID" || code=$?
  COMMAND_PID=""
  return "$code"
}

describe_app() {
  local database=${DATABASE_URL:-sqlite:}
  printf '{"workers": %d, "database": "%s", "peak_memory_bytes": %d}\n' \
    "$WORKERS" "${database%%:*}" "$PEAK" >"$OUTPUT/app.json"
}

main() {
  local code=0 port
  while (($#)); do
    case $1 in
      --help | -h) usage && exit ;;
      --workers=*) WORKERS=${1#*=} && shift ;;
      --output=*) OUTPUT=${1#*=} && shift ;;
      --warm-up=*) WARM_UP=${1#*=} && shift ;;
      --start=*) START=${1#*=} && shift ;;
      --limit=*) LIMIT=${1#*=} && shift ;;
      --stop=*) STOP=${1#*=} && shift ;;
      -*) say "unknown option $1" && usage >&2 && exit 2 ;;
      *) break ;;
    esac
  done
  if (($# < 2)); then usage >&2 && exit 2; fi
  PROGRAM=$1 && shift

  mkdir -p "$OUTPUT"
  OUTPUT=$(cd "$OUTPUT" && pwd)
  : >"$OUTPUT/app.log"
  port=$(find_port)
  export BASE_URL="http://127.0.0.1:$port"
  set -m
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  DIRECTORY=$(mktemp -d)
  start_app "$port"
  wait_until_ready
  warm_up
  save_metrics before
  run_command "$@" || code=$?
  describe_app
  save_metrics after
  return "$code"
}

main "$@"
