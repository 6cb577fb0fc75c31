#!/usr/bin/env bash
# Find the container image of a commit in the registry, put its platforms together, tag it.
set -euo pipefail

LIB=$(dirname "${BASH_SOURCE[0]}")/../lib
# shellcheck source=.github/scripts/lib/repeat.sh
source "$LIB/repeat.sh"

show_help() {
  cat <<'HELP'
usage: image.sh find PLATFORM | assemble FOLDER | verify IMAGE | publish DIGEST FOLDER TAG... |
                mark IMAGE TAG | explain

  find      look for the image that was built of the commit for PLATFORM, such as linux/amd64
  assemble  take the index of the commit, or compute one from the digests in the files of FOLDER
  verify    make sure that IMAGE, NAME@DIGEST, was made of the commit by this repository's workflows
  publish   push that index if BUILT=true, and add each TAG without changing its digest
  mark      let TAG mean IMAGE, NAME@DIGEST
  explain   say what to do when the registry refuses

Sets the outputs of the step. Environment: REGISTRY (ghcr.io), GITHUB_REPOSITORY, COMMIT
(GITHUB_SHA), GH_TOKEN to verify; REBUILD=true finds nothing, so that everything is built again;
VERIFY=true finds only what `verify` takes;
PATIENCE (60), seconds that the registry and GitHub may be away.
HELP
}

# Registries refuse upper case. Docker logs in at an address, too, which is no part of a name.
name_image() {
  local name
  read -r name <<<"${REGISTRY:-ghcr.io}"
  name=${name#*://}
  name=${name%/}/$GITHUB_REPOSITORY
  echo "${name,,}"
}

set_output() {
  echo "$1=$2" | tee -a "${GITHUB_OUTPUT:-/dev/null}"
}

tell() { python3 "$LIB/workflow_commands.py" "$@"; }

# ask_registry ARGUMENTS...: runs `docker buildx imagetools ARGUMENTS`, which would wait for ever.
ask_registry() { repeat "the registry" timeout --verbose "${PATIENCE:-60}" docker buildx imagetools "$@"; }

# fail TITLE TEXT
fail() {
  tell fail "$1" "$2"
  exit 1
}

hash_text() {
  printf 'sha256:%s\n' "$(printf %s "$1" | sha256sum | cut -d ' ' -f 1)"
}

# Prints the digest of an image, nothing if there is none, or none that we may see.
find_digest() {
  local manifest log
  [[ ${REBUILD:-} != true ]] || return 0
  log=$(mktemp --tmpdir="${RUNNER_TEMP:-/tmp}")
  # Apart: a warning is no part of what is hashed.
  if { manifest=$(TOLD_TO=5 ask_registry inspect --raw "$1" 2>"$log"); } 5>&2; then
    hash_text "$manifest"
  elif ! grep -qiE ': not found$|(manifest|name) unknown|denied|forbidden|unauthorized' "$log"; then
    tell error 'The registry did not answer' "$(<"$log")" >&2
    return 1
  fi
}

find_platform() {
  local image arch=${1#linux/} tag digest
  image=$(name_image)
  arch=${arch//\//-} # of linux/arm/v7, say
  tag=sha-$COMMIT-$arch
  digest=$(find_digest "$image:$tag")
  # Any branch may push to the registry; or the run that built it ended before it was attested.
  if [[ $digest && ${VERIFY:-} == true ]] && ! is_attested "$image@$digest"; then
    tell notice 'Built again' "$image:$tag is there, and is not attested as made of $COMMIT. gh says: $SAID"
    digest=''
  fi
  set_output image "$image"
  set_output tag "$tag"
  set_output arch "$arch"
  set_output digest "$digest"
}

list_sources() {
  local digest
  find "$1" -type f -print0 | sort --zero-terminated | xargs -0 cat | while read -r digest; do
    echo "$(name_image)@$digest"
  done
}

create() {
  local sources
  mapfile -t sources < <(list_sources "$1")
  ask_registry create "${@:2}" --tag "$(name_image):sha-$COMMIT" "${sources[@]}"
}

# The digest of what will be pushed: what is attested before anybody can pull it.
assemble() {
  local image manifest digest built=false
  image=$(name_image)
  digest=$(find_digest "$image:sha-$COMMIT")
  if [[ -z $digest ]]; then
    [[ -d $1 ]] || fail 'There is no such image' "The registry has no $image:sha-$COMMIT: it was never built, or it was deleted. Build it: gh workflow run docker.yml --ref TAG"
    built=true
    manifest=$(create "$1" --dry-run) || fail 'The images of the platforms cannot be put together' "The log above says why. If the registry did not answer, run the job again."
    digest=$(hash_text "$manifest")
  fi
  set_output image "$image"
  set_output digest "$digest"
  set_output reference "$image@$digest"
  set_output built "$built"
}

# Signed in this repository is not enough: any workflow of any branch could be that. Else SAID is why.
is_attested() {
  local workflow server=${GITHUB_SERVER_URL:-https://github.com} said='no workflow here publishes images'
  while IFS= read -r workflow; do
    { said=$(TOLD_TO=5 GH_HOST=${server#*://} repeat GitHub gh attestation verify "oci://$1" --repo "$GITHUB_REPOSITORY" --source-digest "$COMMIT" \
      --signer-workflow "$GITHUB_REPOSITORY/$workflow" 2>&1); } 5>&2 && echo "$said" && return
    ! is_outage "$said" || break
  done < <(grep --files-with-matches --recursive 'uses: ./.github/actions/publish-image' .github/workflows)
  SAID=$(tr -s '[:cntrl:] ' ' ' <<<"$said")
  if is_outage "$SAID" || grep -qE 'command not found|gh auth login|HTTP 40[13]' <<<"$SAID"; then
    fail 'GitHub does not say who made the image' "Run the job again. If that does not help, gh says why: $SAID"
  fi
  return 1
}

verify() {
  is_attested "$1" || fail 'The image is not attested' "$1 has no attestation that a workflow which publishes images made it of $COMMIT in $GITHUB_REPOSITORY. Build it again: gh workflow run docker.yml --ref TAG -f rebuild=true. gh says: $SAID"
}

publish() {
  local digest=$1 folder=$2 how='Built before, taken as it is' image pushed tag
  image=$(name_image)
  shift 2
  if [[ ${BUILT:-} == true ]]; then
    how='Built now'
    create "$folder"
    pushed=$(REBUILD='' find_digest "$image:sha-$COMMIT")
    [[ $pushed == "$digest" ]] || fail 'Another image was pushed' "$pushed instead of $digest"
  fi
  for tag in "$@"; do
    tag=${tag//[^A-Za-z0-9._-]/-}
    ask_registry create --tag "$image:${tag:0:128}" "$image@$digest"
  done
  cat >>"${GITHUB_STEP_SUMMARY:-/dev/null}" <<TEXT
### 📦 $how

\`$image@$digest\`

Tags: \`sha-$COMMIT\`${*:+, and $*}
TEXT
}

mark() {
  ask_registry create --tag "${1%@*}:$2" "$1" ||
    fail "The tag $2 was not moved" "The deployment stands. Only the registry does not tell what serves in $2: run the job again."
}

explain() {
  local image owner=${GITHUB_REPOSITORY%%/*} text
  image=$(name_image)
  text="If the log says denied or 403, one of these is missing. \
The package belongs to another repository, or to nobody yet: ${GITHUB_SERVER_URL:-https://github.com}/$owner?tab=packages → ${image##*/} → Package settings → Manage Actions access → Add repository → $GITHUB_REPOSITORY, role Write. \
The job may not write packages: it needs packages: write. \
The organization lets nobody create packages: its Settings → Packages → Package creation. \
If ${REGISTRY:-ghcr.io} did not answer: it is down, or the variable CONTAINER_REGISTRY names one that does not exist. Then: Re-run failed jobs."
  tell error 'The image was not pushed' "$text"
  printf '### ❌ The image was not pushed: %s\n\n%s\n\n' "$image" "$text" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
}

main() {
  COMMIT=${COMMIT:-${GITHUB_SHA:-}}
  case ${1:-} in
    find) find_platform "$2" ;;
    assemble) assemble "$2" ;;
    verify) verify "$2" ;;
    publish) publish "${@:2}" ;;
    mark) mark "$2" "$3" ;;
    explain) explain ;;
    --help) show_help ;;
    *) show_help >&2 && return 2 ;;
  esac
}

main "$@"
