#!/usr/bin/env python3
"""Set up this repository on GitHub: environments, rules, labels, security, secrets.

It shows what differs and changes nothing, unless it is told `--apply`. What the account's plan does
not offer, or what no workflow of this copy needs, is left out, with the reason. A second run finds
nothing to do. It takes the token of GH_TOKEN, or else the login of the program gh; that must be an
administrator's.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask, find, find_gh, find_repository, list_all
from lib.triggers import starts_on, triggers
from repository.repository_settings import (
    PAID,
    PUBLIC,
    Account,
    Change,
    Environment,
    Setting,
    create,
    explain,
    list_settings,
    set_fields,
    switch_on,
)

try:
    LABELS: dict[str, tuple[str, str]] = import_module("audit.report_issue").LABELS
except ModuleNotFoundError:  # that pipeline was dropped
    LABELS = {}

ROOT = Path(__file__).resolve().parents[3]
VERDICT = "./.github/actions/verdict"
GITHUB_ACTIONS = 15368
"""The app that reports the checks; no other may report one of their names."""
MAINTAIN = 2
"""The role that only a repository of an organisation has."""
COUNT, CHECKS = "required_approving_review_count", "required_status_checks"
REVIEWED = {
    "dismiss_stale_reviews_on_push",
    "require_code_owner_review",
    "require_last_push_approval",
    "strict_required_status_checks_policy",
}
"""What is asked for where people review, besides how many."""
NOT_OFFERED = re.compile(
    r"upgrade to|billing plan|make this repository public|not (available|supported)|"
    r"(advanced|code) security|secret (protection|scanning)",
    re.IGNORECASE,
)
"""How GitHub says that an account's plan does not have something."""
NO_ENVIRONMENTS = re.compile(r"(?<=^PUT )environments/\w+: HTTP 404.*")
"""How it says so of environments."""
MARKS = {"same": "=", "different": "~", "changed": "✔", "skipped": "-", "failed": "✘"}


# Yours to edit: the environments, and what people have to do before something is deployed there.
ENVIRONMENTS = {
    "staging": Environment("cd.yml"),
    "production": Environment("cd.yml", reviewed=True, wait=5, tags=("v*.*.*",)),
    "pypi": Environment("release.yml", reviewed=True, tags=("v*.*.*",), trusted=True),
    "template": Environment("dependency-review.yml", trusted=True),
}
SCANNING = {key: {"status": "enabled"} for key in (
    "secret_scanning", "secret_scanning_push_protection",
)}  # fmt: skip
SETTINGS = (
    # the title that was checked gets into the changelog
    set_fields("merging", "PATCH", "", {
        "allow_squash_merge": True,  # the only one that the ruleset lets through
        "squash_merge_commit_title": "PR_TITLE", "squash_merge_commit_message": "PR_BODY",
    }),
    switch_on("dependency graph and Dependabot alerts", "vulnerability-alerts"),
    set_fields("secret scanning", "PATCH", "", {"security_and_analysis": SCANNING}),
    switch_on("private vulnerability reporting", "private-vulnerability-reporting", PUBLIC),
    switch_on("releases that nobody changes", "immutable-releases"),
    set_fields("only actions pinned to a commit", "PUT", "actions/permissions", {
        "sha_pinning_required": True,
    }),
    set_fields("tokens that read only", "PUT", "actions/permissions/workflow", {
        "default_workflow_permissions": "read", "can_approve_pull_request_reviews": False,
    }),
)  # fmt: skip
DEFAULT_SETUP = set_fields(
    "CodeQL by its workflow, not by the default setup", "PATCH", "code-scanning/default-setup",
    {"state": "not-configured"},
)  # fmt: skip


def list_all_settings(account: Account, options: argparse.Namespace) -> Iterator[Setting]:
    """Yield all that is to be set up, in order."""
    workflows = read_workflows()
    yield from SETTINGS
    if any("github/codeql-action/analyze@" in text for text in workflows.values()):
        yield DEFAULT_SETUP
    yield Setting("workflows that GitHub disabled", lambda: _enable(workflows))
    for name, wanted in ENVIRONMENTS.items():
        if wanted.workflow in workflows:
            branch = account.repository["default_branch"]
            yield from list_settings(name, wanted, options.reviewer, branch)
    for name, (color, text) in LABELS.items():
        label = {"name": name, "color": color, "description": text}
        yield create(f"label {name}", "labels", label)
    for path in sorted((ROOT / ".github/rulesets").glob("*.json")):
        yield _make_ruleset(account, path, options.reviews)
    for place, value in options.secret:
        yield _make_secret(place, value)


def read_workflows() -> dict[str, str]:
    """Return the texts of the workflows by the names of their files."""
    paths = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def find_checks(branch: str) -> list[str]:
    """Return the names of the checks that a pull request to a branch has to pass: the verdicts.

    A workflow that some pull requests do not start is left out: its check would never come there.
    """
    names = []
    for text in read_workflows().values():
        workflow = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
        if _starts_always(workflow, branch):
            names += [
                job.get("name", key)
                for key, job in workflow["jobs"].items()
                if any(step.get("uses") == VERDICT for step in job.get("steps", []))
            ]
    return names


def work(account: Account, settings: Iterable[Setting], *, apply: bool) -> Counter[str]:
    """Show each setting and, if told so, make it so; return how many of them ended how."""
    counts: Counter[str] = Counter()
    for setting in settings:
        kind, text = "skipped", account.find_obstacle(setting.plans)
        if not text:
            kind, text = _make_so(setting, apply=apply)
        counts[kind] += 1
        print(f"{MARKS[kind]} {setting.name}{f': {text}' if text else ''}", flush=True)
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up the repository; return 1 if something failed, or differs with `--check`."""
    options = parse_arguments(arguments)
    try:
        account = Account()
    except GitHubError as error:
        print(f"GitHub does not show the repository: {error}", file=sys.stderr)
        return 1
    visibility = account.repository["visibility"]
    plan = account.plan or "unknown"
    print(f"{account.repository['full_name']} ({visibility}, plan {plan})\n")
    if not account.repository.get("permissions", {}).get("admin"):
        print("Only an administrator of the repository can set it up.", file=sys.stderr)
        return 1
    counts = work(account, list_all_settings(account, options), apply=options.apply)
    print("\n" + ", ".join(f"{counts[kind]} {kind}" for kind in MARKS if counts[kind]) + ".")
    if counts["different"] and not options.check:
        print("Nothing was changed. `uv run poe setup-github --apply` does it.")
    return 1 if counts["failed"] or (options.check and counts["different"]) else 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; end with 2 if it is wrong."""
    parser = argparse.ArgumentParser(prog="poe setup-github", description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="only show; so it is without --apply")
    mode.add_argument("--apply", action="store_true", help="change what differs")
    mode.add_argument("--check", action="store_true", help="only show; end with 1 if it differs")
    add = partial(parser.add_argument, action="append", default=[])
    add("--reviewer", metavar="LOGIN", help="approves deployments: a login, or ORGANISATION/TEAM")
    value = "its value is in the file, or typed and hidden"
    add("--secret", metavar="[ENVIRONMENT/]NAME[=FILE]", help=value)
    reviews = "people who approve a pull request, code owners and of the last push; default: as now"
    parser.add_argument("--reviews", type=int, choices=range(7), metavar="N", help=reviews)
    options = parser.parse_args(arguments)
    known = {*re.findall(r"\bsecrets\.([A-Z][A-Z0-9_]*)", "".join(read_workflows().values()))}
    secrets = []
    for place, _, file in (text.partition("=") for text in options.secret):
        name = place.rpartition("/")[2]
        if name not in known:
            parser.error(f"no pipeline reads {name}; they read: {', '.join(sorted(known))}")
        try:  # once, because it may be a pipe, and before anything is changed
            secrets.append((place, Path(file).read_text("utf-8") if file else None))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
            parser.error(f"the value of {name} cannot be read from {file}: {why}")
    options.secret = secrets
    return options


def _starts_always(workflow: dict[str, Any], branch: str) -> bool:
    """Say whether each pull request to a branch starts a workflow, and each later push to it."""
    base = {"base": {"ref": branch}}
    by_path = {"paths", "paths-ignore"} & {*triggers(workflow).get("pull_request", {})}
    return not by_path and all(
        starts_on(workflow, "pull_request", {"action": activity, "pull_request": base})
        for activity in ("opened", "synchronize")
    )


def _make_so(setting: Setting, *, apply: bool) -> tuple[str, str]:
    """Make a setting so if told to; return how that ended, one of `MARKS`, and what changes."""
    try:
        changes = [*setting.find_changes()]
        for change in changes if apply else ():
            send(change)
    except GitHubError as error:
        said = NO_ENVIRONMENTS.sub("not available in a private repository of this plan", str(error))
        return ("skipped" if NOT_OFFERED.search(said) else "failed"), said
    text = "; ".join(change.text for change in changes)
    return ("changed" if apply else "different") if changes else "same", text


def send(change: Change) -> None:
    """Make a change.

    Raises:
        GitHubError: GitHub refused or did not answer, or a person has to say something first.
    """
    if change.method == "gh":
        _set_secret(change.path, None if change.body is None else str(change.body))
    elif change.method:
        ask(change.method, change.path, change.body)
    else:
        missing, _, option = change.text.partition(": ")
        raise GitHubError(missing, option)


def _set_secret(place: str, value: str | None) -> None:
    """Let gh take a secret for `[ENVIRONMENT/]NAME`; it asks for the value if there is none.

    Raises:
        GitHubError: gh is not there, or failed.
    """
    environment, _, name = place.rpartition("/")
    if not (gh := find_gh()):
        raise GitHubError("gh secret set", "install gh, https://cli.github.com, and log in")
    command = [gh, "secret", "set", name, "--repo", find_repository()]
    command += ["--env", environment] if environment else []
    if subprocess.run(command, input=value, encoding="utf-8", check=False).returncode:
        raise GitHubError("gh secret set", "failed; it says above why")


def _enable(workflows: dict[str, str]) -> Iterable[Change]:
    """Enable what the default setup of CodeQL, or 60 days without a commit, switched off."""
    for workflow in list_all("actions/workflows", "workflows"):
        folder, _, name = workflow["path"].rpartition("/")
        if folder == ".github/workflows" and name in workflows and workflow["state"] != "active":
            path = f"actions/workflows/{workflow['id']}/enable"
            yield Change("PUT", path, None, f"{name} {workflow['state']} → active")


def _make_ruleset(account: Account, path: Path, reviews: int | None) -> Setting:
    wanted = json.loads(path.read_text(encoding="utf-8"))

    def find_changes() -> Iterable[Change]:
        listed = list_all("rulesets?includes_parents=false")
        number = next((entry["id"] for entry in listed if entry["name"] == wanted["name"]), None)
        now = ask("GET", f"rulesets/{number}") if number else None
        checks = find_checks(account.repository["default_branch"])
        _complete(wanted, now, account, reviews, checks)
        if now:
            _keep(wanted, now)
        wanted["rules"] = [
            rule for rule in wanted["rules"] if (rule.get("parameters") or {}).get(CHECKS) != []
        ]  # GitHub takes no empty list
        if not now:
            required = ", ".join(checks) or "no check: none comes for each pull request"
            text = f"; required: {required}" if path.stem == "main" else ""
            yield Change("POST", "rulesets", wanted, f"create{text}")
            return
        gone = {rule["type"] for rule in now["rules"]} - {rule["type"] for rule in wanted["rules"]}
        text = f"no {', '.join(gone)}" if gone else explain(_flatten(wanted), _flatten(now))
        if text:
            text = f"differs from {path.relative_to(ROOT)}: {text}"
            yield Change("PUT", f"rulesets/{number}", wanted, text)

    return Setting(f"ruleset {wanted['name']}", find_changes, PAID)


def _complete(
    wanted: dict[str, Any],
    now: dict[str, Any] | None,
    account: Account,
    reviews: int | None,
    checks: Sequence[str],
) -> None:
    """Put into a ruleset what its file cannot know: checks, reviews, roles that exist."""
    actual = {rule["type"]: rule.get("parameters", {}) for rule in (now or {}).get("rules", [])}
    for rule in wanted["rules"]:
        fields, before = rule.get("parameters", {}), actual.get(rule["type"], {})
        for key in fields.keys() & {*REVIEWED, COUNT}:
            given = reviews if key == COUNT else bool(reviews)
            fields[key] = before.get(key, fields[key]) if reviews is None else given
        if rule["type"] == CHECKS:
            fields[CHECKS] = [
                {"context": check, "integration_id": GITHUB_ACTIONS} for check in checks
            ] + [
                check  # of another app
                for check in before.get(CHECKS, [])
                if check.get("integration_id") not in {None, GITHUB_ACTIONS}
            ]
    if not account.is_organisation and "bypass_actors" in wanted:
        wanted["bypass_actors"] = [
            actor for actor in wanted["bypass_actors"] if actor["actor_id"] != MAINTAIN
        ]


def _keep(wanted: dict[str, Any], now: dict[str, Any]) -> None:
    """Put into a ruleset what GitHub has and its file does not name: `PUT` would take it away."""
    rules = {rule["type"]: rule for rule in wanted["rules"]}
    for rule in now["rules"]:
        if rule["type"] not in rules:
            wanted["rules"].append(rule)
        elif before := rule.get("parameters"):
            named = rules[rule["type"]]
            named["parameters"] = before | named.get("parameters", {})
    if actors := now.get("bypass_actors"):
        wanted.setdefault("bypass_actors", actors)


def _flatten(ruleset: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a ruleset and of its rules in one."""
    flat = {key: value for key, value in ruleset.items() if key != "rules"}
    for rule in ruleset["rules"]:
        flat |= {rule["type"]: True} | (rule.get("parameters") or {})
    return flat


def _make_secret(place: str, value: str | None) -> Setting:
    environment, _, name = place.rpartition("/")
    path = f"environments/{environment}/secrets" if environment else "actions/secrets"

    def find_changes() -> Iterable[Change]:
        if not find(f"{path}/{name}"):
            yield Change("gh", place, value, "set")

    return Setting(f"secret {place}", find_changes)


if __name__ == "__main__":
    sys.exit(main())
