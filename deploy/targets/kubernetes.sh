#!/usr/bin/env bash
# A Deployment in a Kubernetes cluster. deploy/kubernetes/setup.sh makes it, and the credentials.
#
# KUBE_CONFIG      credentials: a kubeconfig, in base64
# KUBE_NAMESPACE   where it is (the namespace that the kubeconfig names)
# KUBE_DEPLOYMENT  name of the Deployment (app)
# KUBE_CONTAINER   name of its container (app)
# DEPLOY_URL       where it answers

# Every function is a subshell of its own, so that its credentials go when it ends, however it ends.

# Prints the number of the revision that serves, nothing if none does. While a rollout is unfinished
# that is not the newest: the pods of the one before are still there.
target_current() (
  kube_open || exit
  kube_ask get replicasets --output=json >"$KUBE_FOLDER/replicasets" || exit
  jq --raw-output --slurpfile sets "$KUBE_FOLDER/replicasets" '
    .metadata as $own
    | [$sets[].items[]
        | select(.metadata.ownerReferences[]?.uid == $own.uid and (.status.availableReplicas // 0) > 0)
        | .metadata.annotations["deployment.kubernetes.io/revision"] | tonumber]
    | (map(select(tostring != $own.annotations["deployment.kubernetes.io/revision"])) | max) // max // empty
  ' "$KUBE_FOLDER/deployment"
)

target_deploy() (
  image=$1
  kube_open || exit
  [[ ! ${DATABASE_URL:-} ]] ||
    echo '::notice title=DATABASE_URL is not used::Pods read it from a Secret: deploy/kubernetes/setup.sh changes it there.'
  environment=$(kube_describe_environment) || exit
  kube_migrate "$image" "$environment" || exit
  # One change, so that it is one revision. A merge would add a container that is not there: see kube_open.
  jq --null-input --arg container "$KUBE_CONTAINER" --arg image "$image" --argjson environment "$environment" \
    --slurpfile deployment "$KUBE_FOLDER/deployment" '{
      metadata: {annotations: {"kubernetes.io/change-cause": "\(env.APP_VERSION // "") \($image)"}},
      spec: {template: {spec: {containers: [{name: $container, image: $image, env: $environment}]}}}
    } | if $deployment[].spec.replicas == 0 then .spec.replicas = 2 else . end' >"$KUBE_FOLDER/patch" || exit
  kube_ask patch deployment "$KUBE_DEPLOYMENT" --patch-file="$KUBE_FOLDER/patch" || exit
  kube_wait_for_rollout
)

# Goes back to a revision by its number: "the one before" is the broken one after an earlier rollback.
target_rollback() (
  previous=$1
  kube_open || exit
  if [[ -z $previous ]]; then
    echo 'Nothing served before: the broken version is stopped.'
    kube_ask patch deployment "$KUBE_DEPLOYMENT" --patch='{"spec": {"replicas": 0}}'
    exit
  fi
  newest=$(jq --raw-output '.metadata.annotations["deployment.kubernetes.io/revision"]' "$KUBE_FOLDER/deployment")
  if [[ $newest == "$previous" ]]; then
    echo "Revision $previous is still the newest: nothing to undo."
  else
    kube_ask rollout undo "deployment/$KUBE_DEPLOYMENT" --to-revision="$previous" || exit
  fi
  kube_wait_for_rollout
)

target_url() {
  [[ ! ${DEPLOY_URL:-} ]] || { echo "$DEPLOY_URL" && return; }
  kube_fail 'DEPLOY_URL is not set' 'Set it to where the app answers, as a variable of the environment on GitHub.'
  return 1
}

target_logs() (
  kube_open || exit
  pods=--selector=$(jq --raw-output '.spec.selector.matchLabels | to_entries | map("\(.key)=\(.value)") | join(",")' \
    "$KUBE_FOLDER/deployment")
  kube_ask logs "$pods" --container="$KUBE_CONTAINER" --prefix --tail=20 --max-log-requests=50 || true
  kube_ask get events --field-selector=type=Warning --sort-by=.lastTimestamp | tail -n 15 || true
  kube_ask get pods "$pods" || true
)

# Unpacks the credentials and reads the Deployment; completes the settings.
kube_open() {
  : "${KUBE_DEPLOYMENT:=app}" "${KUBE_CONTAINER:=app}"
  if [[ ! ${KUBE_CONFIG:-} ]]; then
    kube_fail 'KUBE_CONFIG is not set' 'deploy/kubernetes/setup.sh prints it. Keep it as a secret of the environment.'
    return 1
  fi
  umask 077
  [[ ! ${RUNNER_TEMP:-} ]] || rm -rf "$RUNNER_TEMP"/kubernetes.* # of a deploy that was killed
  KUBE_FOLDER=$(mktemp --directory "${RUNNER_TEMP:-/tmp}/kubernetes.XXXXXX") || return
  trap 'rm -rf "$KUBE_FOLDER"' EXIT
  trap 'kill ${KUBE_PROCESS:-} 2>/dev/null; exit 143' INT TERM
  export KUBECONFIG=$KUBE_FOLDER/config
  if ! base64 --decode <<<"$KUBE_CONFIG" >"$KUBECONFIG" 2>/dev/null; then
    kube_fail 'KUBE_CONFIG is not base64' 'Encode the kubeconfig: base64 --wrap=0 FILE.'
    return 1
  fi
  unset KUBE_CONFIG
  : "${KUBE_NAMESPACE:=$(kubectl config view --minify --output='jsonpath={..namespace}' 2>/dev/null || true)}"
  : "${KUBE_NAMESPACE:=default}"
  kube_ask get deployment "$KUBE_DEPLOYMENT" --output=json >"$KUBE_FOLDER/deployment" || return
  jq --exit-status --arg name "$KUBE_CONTAINER" 'any(.spec.template.spec.containers[]; .name == $name)' \
    "$KUBE_FOLDER/deployment" >/dev/null && return
  kube_fail "The Deployment $KUBE_DEPLOYMENT has no container $KUBE_CONTAINER" 'Set KUBE_CONTAINER to the name of the one to update.'
  return 1
}

# Runs kubectl; says what to do when it fails. A rollout may last, every other answer is quick.
kube_ask() {
  local code=0 limit=--request-timeout=20s
  [[ $1 == rollout ]] && limit=
  kubectl --namespace="$KUBE_NAMESPACE" ${limit:+"$limit"} "$@" 2>"$KUBE_FOLDER/error" &
  KUBE_PROCESS=$!
  wait "$KUBE_PROCESS" || code=$? # a signal ends this at once
  cat "$KUBE_FOLDER/error" >&2
  ((code == 0)) || kube_explain "$(<"$KUBE_FOLDER/error")"
  return "$code"
}

kube_explain() {
  local again='Run deploy/kubernetes/setup.sh again and store the KUBE_CONFIG that it prints.'
  case $1 in
    *Unauthorized* | *'provide credentials'* | *'error: EOF'*)
      kube_fail 'The cluster does not accept KUBE_CONFIG' "It has expired or was revoked. $again" ;;
    *certificate* | *'tls:'*)
      kube_fail 'The cluster is not the one that KUBE_CONFIG trusts' "$again" ;;
    *[Ff]orbidden*)
      kube_fail "KUBE_CONFIG does not allow this in the namespace $KUBE_NAMESPACE" "Is KUBE_NAMESPACE right? If it is: $again" ;;
    *'specified revision'*)
      kube_fail 'The revision to go back to is gone' 'Somebody else has deployed meanwhile. Deploy a version by hand.' ;;
    *'progress deadline'* | *'timed out waiting'*)
      kube_fail 'The new version does not get ready' 'The log below says why: what the pods wrote, and their warnings.' ;;
    *'(NotFound)'*)
      kube_fail "The namespace $KUBE_NAMESPACE does not have it" \
        'deploy/kubernetes/setup.sh makes what is missing. KUBE_NAMESPACE and KUBE_DEPLOYMENT name what you have made yourself.' ;;
    *'invalid configuration'* | *'error loading config'* | *'localhost:8080'*)
      kube_fail 'KUBE_CONFIG is no kubeconfig' "$again" ;;
    *'connection refused'* | *'no such host'* | *[Tt]imeout* | *'deadline exceeded'* | *'no route'* | *'Unable to connect'*)
      kube_fail 'The cluster cannot be reached' 'Does it run, and may GitHub reach the server that KUBE_CONFIG names?' ;;
    *) kube_fail 'kubectl failed' 'The log above says why.' ;;
  esac
}

kube_fail() {
  echo "::error title=$1::$2" >&2
}

# The image knows its revision, but not the tag that it got later.
kube_describe_environment() {
  jq --null-input --compact-output '[env | {APP_VERSION, ENVIRONMENT_NAME} | to_entries[] | select(.value // "" != "")
    | {name: .key, value}]'
}

# Runs the migrations of the new image in a Job. Until it succeeds, nothing else changes.
kube_migrate() {
  local image=$1 environment=$2 job state
  jq --arg container "$KUBE_CONTAINER" --arg image "$image" --argjson environment "$environment" \
    --from-file "${BASH_SOURCE[0]%/*}/../kubernetes/migration.jq" "$KUBE_FOLDER/deployment" >"$KUBE_FOLDER/job" || return
  job=$(kube_ask create --filename="$KUBE_FOLDER/job" --output='jsonpath={.metadata.name}') || return
  echo "Migrating: job $job"
  while state=$(kube_find_state "$job"); do
    case $state in
      *Complete*) return ;;
      *Failed* | *InvalidImageName* | *ImagePullBackOff* | *CreateContainerConfigError*) break ;;
      *) sleep 1 ;;
    esac
  done
  kubectl --namespace="$KUBE_NAMESPACE" logs "job/$job" --prefix --tail=40 || true
  kubectl --namespace="$KUBE_NAMESPACE" delete job "$job" --wait=false || true
  case $state in
    '') ;;
    *Failed*) kube_fail 'The migrations failed' 'The version before still serves. The log says why.' ;;
    *) kube_fail "The new image does not start (${state##* })" \
      "Can the cluster pull $image, and is the Secret there that the Deployment names?" ;;
  esac
  return 1
}

# Prints how a job stands, and why its pod waits.
kube_find_state() {
  kube_ask get job "$1" --output='jsonpath={.status.conditions[?(@.status=="True")].type} ' || return
  kube_ask get pods --selector="batch.kubernetes.io/job-name=$1" \
    --output='jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}'
}

# Each pod may take as long as the Deployment allows: it is the cluster that gives up.
kube_wait_for_rollout() {
  local seconds
  seconds=$(jq '(.spec.progressDeadlineSeconds // 600) * ((.spec.replicas // 1) + 2)' "$KUBE_FOLDER/deployment")
  kube_ask rollout status "deployment/$KUBE_DEPLOYMENT" --timeout="${seconds}s"
}
