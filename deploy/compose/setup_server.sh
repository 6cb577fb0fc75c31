#!/usr/bin/env bash
# Make a server ready for deployments: an account, root's files for it, and a key that can do nothing else.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: setup_server.sh [OPTION]... REPOSITORY PUBLIC_KEY HOST

On a server with Docker, as root. REPOSITORY is where the images are, such as ghcr.io/acme/shop;
PUBLIC_KEY the public half of the deploy key, in one argument; HOST the name or the address by which
GitHub reaches the server. Prints the commands that tell GitHub. Run it again to change something, or
for another key: the one before stops working. What runs goes on running.

  --domain NAME       name of the site: the proxy gets a certificate for it (none: plain HTTP)
  --environment NAME  environment on GitHub that is deployed here (production)
  --user NAME         the account (deploy); another one for each environment on the same server
  --port NUMBER       port of the SSH server (22)
  --http ADDRESS      where the proxy listens for HTTP, [ADDRESS:]PORT (80)
  --https ADDRESS     the same for HTTPS (443)
  --dry-run           show what would be done
HELP
}

HERE=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
DOMAIN='' ENVIRONMENT=production ACCOUNT=deploy PORT=22 HTTP=80 HTTPS=443 DRY=''

fail() {
  echo "setup_server.sh: $1" >&2
  exit "${2:-1}"
}

# check WHAT VALUE PATTERN
check() {
  [[ $2 =~ ^($3)$ ]] || fail "$1 cannot be ${2:0:80}" 2
}

read_arguments() {
  while [[ ${1:-} == --* ]]; do
    case $1 in
      --help) show_help && exit ;;
      --dry-run) DRY=true && shift && continue ;;
      --domain) DOMAIN=${2:-} ;;
      --environment) ENVIRONMENT=${2:-} ;;
      --user) ACCOUNT=${2:-} ;;
      --port) PORT=${2:-} ;;
      --http) HTTP=${2:-} ;;
      --https) HTTPS=${2:-} ;;
      *) show_help >&2 && exit 2 ;;
    esac
    (($# > 1)) || fail "$1 has no value" 2
    shift 2
  done
  (($# == 3)) || { show_help >&2 && exit 2; }
  REPOSITORY=$1 KEY=$2 HOST=$3
  check REPOSITORY "$REPOSITORY" '[a-z0-9][a-z0-9.:-]*(/[a-z0-9][a-z0-9._-]*)+'
  check PUBLIC_KEY "$KEY" '(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [ -~]*)?'
  check HOST "$HOST" '[A-Za-z0-9][A-Za-z0-9.:-]*'
  check --domain "$DOMAIN" '|[A-Za-z0-9][A-Za-z0-9.-]*'
  check --environment "$ENVIRONMENT" '[A-Za-z0-9_-]+'
  check --user "$ACCOUNT" '[a-z_][a-z0-9_-]{0,30}'
  check --port "$PORT" '[0-9]{1,5}'
  check --http "$HTTP" '(([0-9.]+|\[[0-9a-f:.]+\]):)?[0-9]+'
  check --https "$HTTPS" '(([0-9.]+|\[[0-9a-f:.]+\]):)?[0-9]+'
  FILES=/opt/$ACCOUNT HOUSE=/var/lib/$ACCOUNT
}

check_server() {
  [[ $DRY ]] || ((EUID == 0)) || fail 'run it as root, such as with sudo'
  docker compose --progress quiet version >/dev/null 2>&1 ||
    fail 'Docker is missing, or its plug-in compose, or that is too old: https://docs.docker.com/engine/install/'
  [[ $DRY ]] || getent group docker >/dev/null || fail 'there is no group docker, which may use the Docker Engine'
}

# Runs a command, or shows it.
run() {
  if [[ $DRY ]]; then echo "would run: $*"; else "$@"; fi
}

# write FILE: standard input becomes its content, which everybody may read and root may change.
write() {
  if [[ $DRY ]]; then
    sed "1s|^|would write $1: |"
  else
    cat >"$1.new" && chmod 644 "$1.new" && mv "$1.new" "$1"
  fi
}

make_account() {
  local home known
  home=$(getent passwd "$ACCOUNT" | cut -d : -f 6) || true
  [[ ${home:-$HOUSE} == "$HOUSE" ]] || fail "the account $ACCOUNT is somebody's, with the folder $home: name another one with --user"
  known=$(sed -n 's/.* \([^ ]*\)" [^ ]* [^ ]*/\1/p' "$HOUSE/.ssh/authorized_keys" 2>/dev/null) || true
  [[ "${known:-$REPOSITORY} $ENVIRONMENT " == "$REPOSITORY $ENVIRONMENT "* ]] || fail "the account $ACCOUNT deploys $known: name another one with --user, or remove $HOUSE/.ssh/authorized_keys if that was renamed"
  [[ $home ]] ||
    run useradd --system --no-create-home --home-dir "$HOUSE" --shell /bin/sh --password '*' "$ACCOUNT"
  run usermod --append --groups docker "$ACCOUNT"
}

install_files() {
  run install --directory --mode 755 "$FILES" "$HOUSE" "$HOUSE/.ssh"
  run install --directory --mode 700 --owner "$ACCOUNT" "$HOUSE/app"
  run install --mode 755 "$HERE/gate.sh" "$HERE/host.sh" "$FILES"
  run install --mode 644 "$HERE/compose.yaml" "$HERE/Caddyfile" "$HERE/probe.py" "$FILES"
}

write_settings() {
  local kind blob
  read -r kind blob _ <<<"$KEY"
  printf 'SITE_ADDRESS=%s\nHTTP_BIND=%s\nHTTPS_BIND=%s\n' "${DOMAIN:-:80}" "$HTTP" "$HTTPS" | write "$HOUSE/app/proxy.env"
  run chown "$ACCOUNT" "$HOUSE/app/proxy.env"
  printf 'restrict,command="%s/gate.sh %s/app %s" %s %s %s\n' "$FILES" "$HOUSE" "$REPOSITORY" "$kind" "$blob" "$ENVIRONMENT" |
    write "$HOUSE/.ssh/authorized_keys"
}

find_host_keys() {
  local name=$HOST
  ((PORT == 22)) || name="[$HOST]:$PORT"
  cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null | sed "s/^/$name /" | grep . ||
    fail 'the SSH server has no host key: /etc/ssh/ssh_host_ed25519_key.pub. Make one: ssh-keygen -A'
}

# Prints where the app answers: with the port, unless it is the one that the scheme stands for.
find_url() {
  local scheme=http name=$HOST port=${HTTP##*:} usual=80
  [[ ! $DOMAIN ]] || { scheme=https name=$DOMAIN port=${HTTPS##*:} usual=443; }
  [[ $name != *:* ]] || name="[$name]"
  [[ ${port:-$usual} == "$usual" ]] || name+=":$port"
  echo "$scheme://$name"
}

tell_github() {
  local known name
  known=$(find_host_keys)
  printf '\n# Where gh is logged in, in a folder of the repository:\n'
  for name in DEPLOY_TARGET=compose "DEPLOY_HOST=$HOST" "DEPLOY_PORT=$PORT" "DEPLOY_USER=$ACCOUNT" \
    "DEPLOY_URL=$(find_url)" "DEPLOY_KNOWN_HOSTS=$known"; do
    printf "gh variable set %s --env %s --body '%s'\n" "${name%%=*}" "$ENVIRONMENT" "${name#*=}"
  done
  printf 'gh secret set DEPLOY_SSH_KEY --env %s <FILE-WITH-THE-PRIVATE-KEY\n' "$ENVIRONMENT"
  printf 'gh secret set DATABASE_URL --env %s  # without it, the data is in a volume of the server\n' "$ENVIRONMENT"
}

main() {
  read_arguments "$@"
  check_server
  make_account
  install_files
  write_settings
  tell_github
}

main "$@"
