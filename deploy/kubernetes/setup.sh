#!/usr/bin/env bash
# Make everything in a namespace that a deploy needs, and the credentials that a deploy gets.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: DATABASE_URL=postgresql://... deploy/kubernetes/setup.sh [--take-over] NAMESPACE

With the rights of your own kubectl context: makes the namespace, a Secret with DATABASE_URL, the app
without any pods yet, and an account that may deploy there and nothing else. Prints a kubeconfig of
that account in base64: the secret KUBE_CONFIG of the environment on GitHub.

Run it again after a change in deploy/kubernetes: what runs goes on running, with its image. Without
DATABASE_URL, the Secret stays as it is. --take-over sets what somebody else has set, such as by hand
or with kubectl rollout undo, to what the files say.
HELP
}

HERE=$(dirname "${BASH_SOURCE[0]}")

fail() {
  echo "$1" >&2
  return 1
}

# Adds what is not in the files: the namespace, and what a deploy or the autoscaler has decided.
write_overlay() {
  local live image replicas
  live=$(kubectl --namespace="$NAMESPACE" get deployment app --ignore-not-found --output=json)
  image=$(jq --raw-output '.spec.template.spec.containers[] | select(.name == "app") | .image' <<<"$live")
  replicas=$(jq '.spec.replicas' <<<"$live")
  mkdir "$FOLDER/files"
  cp "$HERE"/*.yaml "$FOLDER/files"
  jq --null-input --arg image "${image:-app}" --arg replicas "${replicas:-0}" '{
    namespace: env.NAMESPACE,
    resources: ["files"],
    replicas: [{name: "app", count: ($replicas | tonumber)}],
    patches: [{
      patch: ({apiVersion: "apps/v1", kind: "Deployment", metadata: {name: "app"},
        spec: {template: {spec: {containers: [{name: "app", image: $image}]}}}} | tojson)
    }]
  }' >"$FOLDER/kustomization.yaml"
}

apply_secret() {
  if [[ ${DATABASE_URL:-} ]]; then
    jq --null-input '{apiVersion: "v1", kind: "Secret", metadata: {name: "app"}, data: {DATABASE_URL: (env.DATABASE_URL | @base64)}}' |
      kubectl --namespace="$NAMESPACE" apply --server-side --filename=-
  else
    kubectl --namespace="$NAMESPACE" get secret app --output=name ||
      fail 'The app needs a database: set DATABASE_URL.'
  fi
}

# A cluster fills the Secret with a token shortly after it was made.
find_token() {
  local token
  for _ in {1..50}; do
    token=$(kubectl --namespace="$NAMESPACE" get secret deployer --output=json | jq --raw-output '.data.token // "" | @base64d')
    [[ -z $token ]] || { echo "$token" && return; }
    sleep 0.2
  done
  fail 'The cluster made no token for the account "deployer".'
}

print_kubeconfig() {
  TOKEN=$1 jq --raw-output '{
    apiVersion, kind,
    clusters: [{name: "cluster", cluster: .clusters[0].cluster}],
    users: [{name: "deployer", user: {token: env.TOKEN}}],
    contexts: [{name: "deploy", context: {cluster: "cluster", user: "deployer", namespace: env.NAMESPACE}}],
    "current-context": "deploy"
  } | @base64' < <(kubectl config view --minify --flatten --output=json)
}

# Applies the files; says what to do about fields that somebody else has changed.
apply_files() {
  kubectl apply --server-side "$@" --kustomize="$FOLDER" 2>"$FOLDER/error" && return
  cat "$FOLDER/error"
  ! grep --quiet 'conflict' "$FOLDER/error" ||
    echo "The fields above differ from deploy/kubernetes: somebody, or a rollback, has set them since. To set them to what the files say: deploy/kubernetes/setup.sh --take-over $NAMESPACE"
  return 1
}

main() {
  local token versions options=()
  case ${1:-} in
    --help) show_help && return ;;
    --take-over) options=(--force-conflicts) && shift ;;
  esac
  (($# == 1)) || { show_help >&2 && return 2; }
  [[ $1 =~ ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$ ]] ||
    fail "A namespace has lower-case letters, digits and hyphens, at most 63: $1"
  export NAMESPACE=$1
  FOLDER=$(mktemp -d)
  trap 'rm -rf "$FOLDER"' EXIT
  versions=$(kubectl version --output=json)
  python3 "$HERE/target.py" check <<<"$versions"
  write_overlay
  apply_files "${options[@]}" >&2
  apply_secret >&2
  token=$(find_token)
  print_kubeconfig "$token" | tee "$FOLDER/config"
  jq --raw-input --raw-output '@base64d | fromjson | .clusters[0].cluster.server
    | select(test("^https?://(localhost|127\\.|0\\.0\\.0\\.0|\\[::1?\\])"))
    | "KUBE_CONFIG leads to \(.), which on GitHub is another machine. Set where it reaches the cluster, such as with kubectl config set-cluster, and run this again."' "$FOLDER/config" >&2
}

main "$@"
