#!/usr/bin/env bash
# gh, with a stand-in for what asks Sigstore: an image is verified if the stand-in for actions/attest kept it.
set -euo pipefail

verify() {
  local digest=${1##*@} repository='' source='' signer='' found
  shift
  while (($#)); do
    case $1 in
      --repo) repository=$2 ;;
      --source-digest) source=$2 ;;
      --signer-workflow) signer=$2 ;;
      *) echo "the stand-in for gh attestation verify does not know $1" >&2 && return 2 ;;
    esac
    shift 2
  done
  if ! found=$(cat "$PIPELINES_ATTESTATIONS/${digest#sha256:}" 2>/dev/null); then
    echo "Error: no attestations found for subject $digest" >&2
    return 1
  fi
  [[ $found == "$repository $source $signer" ]] && echo "✓ Verification succeeded! (stand-in)" && return
  echo "Error: verifying with issuer \"sigstore.dev\": expected $repository at $source by $signer, got $found" >&2
  return 1
}

if [[ ${1:-} == attestation ]]; then
  [[ ${2:-} == verify && ${3:-} == oci://*@sha256:* && ${GH_TOKEN:-} ]] || { echo "unexpected: gh $*" >&2 && exit 2; }
  verify "${@:3}"
else
  exec "$PIPELINES_GH" "$@"
fi
