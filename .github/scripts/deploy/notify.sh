#!/usr/bin/env bash
# Tell Slack and Discord how a deploy ended.
set -euo pipefail

show_help() {
  cat <<'HELP'
usage: notify.sh

Sends a message to each webhook that is set. Always ends with 0: a message that does not arrive is a
warning, never a failed deploy. Environment:

  APP_VERSION, APP_REVISION       what was deployed
  DEPLOY_ENVIRONMENT              where
  OUTCOME                         deployed, rolled-back, failed or rollback-failed
  REASON, DEPLOY_URL              why not, and where it answers; may be empty
  SLACK_WEBHOOK_URL, DISCORD_WEBHOOK_URL
  NOTIFY_SECONDS                  how long one try may take (10); there are two
HELP
}

# Prints what both messages are made of. Texts come from people: one line, nothing invisible, short.
describe_deploy() {
  jq --null-input '
    def given($name; $longest): env[$name] // "" | gsub("[\\p{C}\\p{Z}\\s]+"; " ") | ltrimstr(" ") | rtrimstr(" ")
      | if length > $longest then .[:$longest] + "…" else . end;
    (given("DEPLOY_ENVIRONMENT"; 50) | gsub("[^A-Za-z0-9._ -]"; "-")) as $environment
    | {
        "deployed": ["✅ Deployed to \($environment)", 2991182],
        "rolled-back": ["↩️ Rolled back: \($environment) has the version before", 12550145],
        "failed": ["❌ Not deployed to \($environment)", 13574190],
        "rollback-failed": ["🔥 Rollback failed: \($environment) needs somebody now", 13574190]
      }[env.OUTCOME] // ["❓ A deploy to \($environment) ended in an unknown way", 13574190]
    | {
        title: .[0],
        color: .[1],
        facts: [["Version", given("APP_VERSION"; 100)], ["Commit", given("APP_REVISION"; 40)] | select(.[1] != "")],
        reason: given("REASON"; 500),
        links: [
          ["Run", "\(env.GITHUB_SERVER_URL)/\(env.GITHUB_REPOSITORY)/actions/runs/\(env.GITHUB_RUN_ID)"],
          ["Open", env.DEPLOY_URL // ""]
          | select(.[1] | test("\\Ahttps?://[^\\s<>|()\\[\\]\"\\\\`]{1,500}\\z"))
        ]
      }'
}

# https://docs.slack.dev/reference/block-kit: plain_text is text without formatting, links and mentions.
describe_for_slack() {
  jq '
    def escape: gsub("&"; "&amp;") | gsub("<"; "&lt;") | gsub(">"; "&gt;");
    def plain: {type: "plain_text", text: escape, emoji: false};
    {
      text: .title,
      blocks: [
        {type: "header", text: {type: "plain_text", text: .title}},
        (.facts | select(. != []) | {type: "section", fields: map("\(.[0]): \(.[1])" | plain)}),
        (.reason | select(. != "") | {type: "section", text: plain}),
        (.links | select(. != []) | {
          type: "context",
          elements: [{type: "mrkdwn", text: (map("<\(.[1] | escape)|\(.[0])>") | join("  "))}]
        })
      ]
    }'
}

# https://docs.discord.com/developers/resources/webhook: in code nothing is formatted, linked or mentioned.
describe_for_discord() {
  jq '
    def code: "`\(gsub("`"; "ˋ"))`";
    {
      allowed_mentions: {parse: []},
      embeds: [{
        title,
        color,
        description: ([(.reason | select(. != "") | code), (.links | map("[\(.[0])](\(.[1]))") | join(" · "))] | join("\n")),
        fields: (.facts | map({name: .[0], value: (.[1] | code), inline: true}))
      }]
    }'
}

warn() {
  echo "::warning title=$1 got no message::$2"
}

# The address is a secret: it reaches curl neither as an argument nor through a message.
send() {
  local service=$1 address=${2//[[:space:]]/} setting=${1^^}_WEBHOOK_URL message status
  [[ $address ]] || return 0
  [[ $address =~ ^https?://[^\"\\]+$ ]] || { warn "$service" "The secret $setting is no address." && return; }
  message=$(describe_deploy | "describe_for_${service,,}") || { warn "$service" 'The message could not be made.' && return; }
  status=$(curl --disable --config <(printf 'url = "%s"' "$address") --globoff --silent --output /dev/null \
    --max-time "${NOTIFY_SECONDS:-10}" --retry 1 --retry-delay 1 --header 'Content-Type: application/json' \
    --data-binary @- --write-out '%{http_code}' <<<"$message" 2>/dev/null) || status=${status:-000}
  case ${status: -3} in
    2??) echo "$service got the message." ;;
    000) warn "$service" 'It did not answer. The deploy is not affected.' ;;
    401 | 403 | 404 | 410) warn "$service" "It knows no such webhook ($status). Make a new one and keep it as the secret $setting." ;;
    *) warn "$service" "It answered $status. The deploy is not affected." ;;
  esac
}

main() {
  case ${1:-} in --help) show_help && return ;; esac
  if [[ -z ${SLACK_WEBHOOK_URL:-}${DISCORD_WEBHOOK_URL:-} ]]; then
    echo '::notice title=Nobody got a message::To tell a channel how deploys end, set the secret SLACK_WEBHOOK_URL or DISCORD_WEBHOOK_URL.'
    return
  fi
  send Slack "${SLACK_WEBHOOK_URL:-}"
  send Discord "${DISCORD_WEBHOOK_URL:-}"
}

main "$@"
