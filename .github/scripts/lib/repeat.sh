# shellcheck shell=bash
# What needs a network is asked again for a while: an outage of a minute is no answer.

# repeat WHAT COMMAND...: prints what COMMAND prints and ends as it does. While it fails because WHAT
# cannot be reached, it is run again, for PATIENCE (60) seconds; that is said at once, to the file
# descriptor TOLD_TO (2).
repeat() {
  local what=$1 answer errors code told='' deadline=$((SECONDS + ${PATIENCE:-60}))
  shift
  while true; do
    code=0
    # Both outputs in one go: what the command says to people comes after the mark.
    answer=$({ errors=$("$@" 2>&1 >&3); } 3>&1; code=$?; printf '\036%s' "$errors"; exit "$code") || code=$?
    errors=${answer##*$'\036'} answer=${answer%$'\036'*}
    if ((code == 0 || SECONDS >= deadline)) || ! is_outage "$errors"; then break; fi
    [[ $told ]] || echo "Waiting for $what: ${errors##*$'\n'}" >&"${TOLD_TO:-2}"
    told=true
    sleep 1
  done
  [[ ! $errors ]] || echo "$errors" >&2
  printf %s "$answer"
  return "$code"
}

# is_outage TEXT: says whether an error is one that goes by itself.
is_outage() {
  grep -qiE 'refused|reset by|timed? ?out|no such host|resolve|temporar|unreachable|no route|\bEOF\b|closed by|lost|handshake|bad gateway|unavailable|broken pipe|goaway|too ?many ?requests|\b(429|50[0234])\b' <<<"$1" &&
    ! grep -qiE 'denied|unauthori[sz]ed|forbidden|not found|manifest unknown' <<<"$1"
}
