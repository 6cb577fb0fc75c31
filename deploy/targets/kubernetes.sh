#!/usr/bin/env bash
# A Deployment in a Kubernetes cluster. deploy/kubernetes/setup.sh makes it, and the credentials.
#
# KUBE_CONFIG      credentials: a kubeconfig, in base64
# KUBE_NAMESPACE   where it is (the namespace that the kubeconfig names)
# KUBE_DEPLOYMENT  name of the Deployment (app)
# KUBE_CONTAINER   name of its container (app)
# DEPLOY_URL       where it answers

# Prints the ReplicaSet that was last rolled out in full, nothing if none ever was.
target_current() { target_url >/dev/null && kube_drive current; } # the address is asked for before anything is changed

target_deploy() {
  # shellcheck disable=SC2016 # another shell expands this
  kube_drive deploy "$1" bash -euo pipefail -c 'source "$TARGET_FILE"; kube_judge "$1"' judge
}

target_rollback() { kube_drive rollback "$1"; }

target_logs() { kube_drive logs; }

target_url() {
  [[ ! ${DEPLOY_URL:-} ]] || { echo "$DEPLOY_URL" && return; }
  echo '::error title=DEPLOY_URL is not set::Set it to where the app answers, as a variable of the environment on GitHub.' >&2
  return 1
}

# Judges the new version before it has traffic; nobody else answers at this address.
kube_judge() {
  local why deadline=''
  until why=$(look "$1" "$APP_REVISION" && look_ready "$1"); do
    : "${deadline:=$((SECONDS + ${PATIENCE:-60}))}"
    if [[ $why != nothing* && $why != *'not ready'* ]] || ((SECONDS >= deadline)); then echo "$why" >"$STATE/why" && return 1; fi
    sleep 0.5
  done
  run_smoke_tests "$1"
}

kube_drive() {
  python3 "${BASH_SOURCE[0]%/*}/../kubernetes/target.py" "$@"
}
