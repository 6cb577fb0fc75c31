#!/usr/bin/env python3
"""Set up this repository on GitHub: environments, rules, labels, security, variables, secrets.

It shows what differs and changes nothing, unless it is told `--apply`. What the account's plan does
not offer is left out, with the reason. A second run finds nothing to do. It takes the login of the
program gh, or the token of GH_TOKEN; that must be an administrator's.
"""

import argparse
import getpass
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit.report_issue import LABELS
from lib.github import GitHubError, ask, find
from repository.repository_environments import PAID, Environment, Protected
from repository.repository_settings import (
    NOT_OFFERED,
    Account,
    Item,
    NotOfferedError,
    differs,
    explain,
)

ROOT = Path(__file__).resolve().parents[3]
GITHUB_ACTIONS = 15368
"""The app that reports the checks; no other may report one of their names."""


# Yours to edit: the environments, and what people have to do before something is deployed there.
ENVIRONMENTS = {
    "staging": Environment(),
    "production": Environment(reviewed=True, wait=5, tags=("v*.*.*",)),
    "pypi": Environment(reviewed=True),
}
REPOSITORY = {
    "squash_merge_commit_title": "PR_TITLE",  # the title that was checked gets into the changelog
    "squash_merge_commit_message": "PR_BODY",
}
POLICY = {"sha_pinning_required": True}
TOKEN = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}
SECRET_SCANNING = {"secret_scanning": "enabled", "secret_scanning_push_protection": "enabled"}


def list_items(account: Account, options: argparse.Namespace) -> Iterator[Item]:
    """Yield all that is to be set up, in order."""
    yield _make_setting("merging", "", REPOSITORY, "PATCH")
    yield from _list_security(account)
    yield from _list_actions()
    for name, wanted in ENVIRONMENTS.items():
        yield from Protected(account, name, wanted, options.reviewer).list_items()
    for name, (color, description) in LABELS.items():
        yield _make_label({"name": name, "color": color, "description": description})
    yield _make_ruleset(account)
    for text in options.variable:
        yield _make_variable(text)
    for text in options.secret:
        yield _make_secret(text, replace=options.replace_secrets)


def find_checks() -> list[str]:
    """Return the names of the checks that a pull request has to pass: the pipelines' verdicts."""
    names = []
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        workflow = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
        if "pull_request" in workflow["on"]:
            names.append(workflow["jobs"]["summary"]["name"])
    return names


def find_settings() -> dict[str, set[str]]:
    """Return the names of the `secrets` and `vars` that workflows, actions and targets read."""
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("workflows", "actions")
        for path in (ROOT / ".github" / folder).rglob("*.yml")
    )
    kinds = ("secrets", "vars")
    found = {kind: set(re.findall(rf"\b{kind}\.([A-Z][A-Z0-9_]*)", text)) for kind in kinds}
    for target in (ROOT / "deploy/targets").glob("*.sh"):
        named = re.findall(
            r"^# ((?:DEPLOY|ENVIRONMENT|KUBE)_[A-Z_]+) ", target.read_text("utf-8"), re.MULTILINE
        )
        found["vars"] |= {*named} - found["secrets"]
    found["secrets"].discard("GITHUB_TOKEN")
    return found


def work(items: Iterator[Item], *, apply: bool) -> dict[str, int]:
    """Show each item and, if told so, make it so; return how many of them ended how."""
    counts = dict.fromkeys(("same", "different", "changed", "skipped", "failed"), 0)
    for item in items:
        kind, text = _work_on(item, apply=apply)
        counts[kind] += 1
        mark = {"same": "=", "different": "~", "changed": "✔", "skipped": "-", "failed": "✘"}[kind]
        print(f"{mark} {item.name}{f': {text}' if text else ''}", flush=True)
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up the repository; return 1 if something failed, or differs with `--check`."""
    options = parse_arguments(arguments)
    try:
        account = Account(options.repo)
    except GitHubError as error:
        print(f"GitHub does not show the repository: {error}", file=sys.stderr)
        return 1
    visibility = account.repository["visibility"]
    plan = account.plan or "unknown"
    print(f"{account.repository['full_name']} ({visibility}, plan {plan})\n")
    if not account.repository.get("permissions", {}).get("admin"):
        print("Only an administrator of the repository can set it up.", file=sys.stderr)
        return 1
    if options.apply and not options.reviewer and sys.stdin.isatty():
        answer = input("Who approves deployments? Logins, or ORGANISATION/TEAM, with spaces: ")
        options.reviewer = answer.split()
    counts = work(list_items(account, options), apply=options.apply)
    print("\n" + ", ".join(f"{number} {kind}" for kind, number in counts.items() if number) + ".")
    if counts["different"] and not options.check:
        print("Nothing was changed. `uv run poe setup-github --apply` does it.")
    return 1 if counts["failed"] or (options.check and counts["different"]) else 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; end with 2 if it is wrong."""
    known = find_settings()
    parser = argparse.ArgumentParser(
        prog="poe setup-github",
        description=__doc__,
        epilog=f"Secrets: {', '.join(sorted(known['secrets']))}. "
        f"Variables: {', '.join(sorted(known['vars']))}.",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="only show; so it is without --apply")
    mode.add_argument("--apply", action="store_true", help="change what differs")
    mode.add_argument("--check", action="store_true", help="only show; end with 1 if it differs")
    parser.add_argument("--repo", default="", metavar="OWNER/NAME", help="another repository")
    parser.add_argument(
        "--reviewer",
        action="append",
        default=[],
        metavar="LOGIN",
        help="approves deployments: a login, or ORGANISATION/TEAM; asked for if none is given",
    )
    parser.add_argument(
        "--variable", action="append", default=[], metavar="[ENVIRONMENT/]NAME=VALUE"
    )
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="[ENVIRONMENT/]NAME[=FILE]",
        help="its value is read from the file, or typed and not shown",
    )
    parser.add_argument(
        "--replace-secrets", action="store_true", help="also those that are there already"
    )
    options = parser.parse_args(arguments)
    for kind, texts in (("secrets", options.secret), ("vars", options.variable)):
        for text in texts:
            environment, name, _ = _split(text)
            if name not in known[kind]:
                parser.error(f"no pipeline reads {name}; they read: {', '.join(known[kind])}")
            if environment and environment not in ENVIRONMENTS:
                parser.error(f"no environment {environment}; there are: {', '.join(ENVIRONMENTS)}")
            if kind == "vars" and "=" not in text:
                parser.error(f"--variable takes NAME=VALUE, not {text}")
    return options


def _work_on(item: Item, *, apply: bool) -> tuple[str, str]:
    try:
        difference = item.compare()
        if not difference:
            return "same", ""
        if not apply:
            return "different", difference
        item.apply()
    except NotOfferedError as reason:
        return "skipped", str(reason)
    except GitHubError as error:
        return ("skipped" if NOT_OFFERED.search(str(error)) else "failed"), str(error)
    return "changed", difference


def _make_setting(name: str, path: str, wanted: dict[str, Any], method: str = "PUT") -> Item:
    """Return an item whose address takes what it gives."""

    def apply() -> None:
        kept = ask("GET", path) if method == "PUT" else {}
        ask(method, path, {key: it for key, it in kept.items() if "url" not in key} | wanted)

    return Item(name, lambda: explain(wanted, ask("GET", path)), apply)


def _list_security(account: Account) -> Iterator[Item]:
    def make_switch(name: str, path: str, is_on: Callable[[Any], bool]) -> Item:
        return Item(
            name,
            lambda: "" if is_on(find(path)) else "off → on",
            lambda: ask("PUT", path),
        )

    yield make_switch("dependency graph and Dependabot alerts", "vulnerability-alerts", bool)

    def compare_scanning() -> str:
        found = ask("GET", "").get("security_and_analysis") or {}
        return explain(SECRET_SCANNING, {key: it["status"] for key, it in found.items()})

    fields = {key: {"status": value} for key, value in SECRET_SCANNING.items()}
    yield Item(
        "secret scanning",
        compare_scanning,
        lambda: ask("PATCH", "", {"security_and_analysis": fields}),
    )
    path = "private-vulnerability-reporting"
    reporting = make_switch("private vulnerability reporting", path, lambda it: it["enabled"])

    def compare_reporting() -> str:
        account.require_public(reporting.name)
        return reporting.compare()

    yield Item(reporting.name, compare_reporting, reporting.apply)
    yield _make_setting(
        "CodeQL by codeql.yml, not by the default setup",
        "code-scanning/default-setup",
        {"state": "not-configured"},
        "PATCH",
    )


def _list_actions() -> Iterator[Item]:
    yield _make_setting("only actions pinned to a commit", "actions/permissions", POLICY)
    yield _make_setting("tokens that read only", "actions/permissions/workflow", TOKEN)


def _make_label(wanted: dict[str, str]) -> Item:
    name = wanted["name"]
    return Item(
        f"label {name}",
        lambda: "" if find(f"labels/{name}") else "create",
        lambda: ask("POST", "labels", wanted),
    )


def _make_ruleset(account: Account) -> Item:
    wanted = json.loads((ROOT / ".github/rulesets/main.json").read_text(encoding="utf-8"))
    checks = [{"context": it, "integration_id": GITHUB_ACTIONS} for it in find_checks()]
    for rule in wanted["rules"]:
        if rule["type"] == "required_status_checks":
            rule["parameters"]["required_status_checks"] = checks

    def find() -> dict[str, Any] | None:
        account.require("rulesets", *PAID)
        listed = ask("GET", "rulesets?includes_parents=false&per_page=100")
        number = next((it["id"] for it in listed if it["name"] == wanted["name"]), None)
        found: dict[str, Any] | None = ask("GET", f"rulesets/{number}") if number else None
        return found

    def compare() -> str:
        now = find()
        if not now:
            return f"create; required: {', '.join(find_checks())}"
        return "differs from .github/rulesets/main.json" if differs(wanted, now) else ""

    def apply() -> None:
        now = find()
        if now:
            ask("PUT", f"rulesets/{now['id']}", wanted)
        else:
            ask("POST", "rulesets", wanted)

    return Item(f"ruleset {wanted['name']}", compare, apply)


def _split(text: str) -> tuple[str, str, str]:
    """Return the environment, the name and the value of `[ENVIRONMENT/]NAME[=VALUE]`."""
    left, _, value = text.partition("=")
    environment, _, name = left.rpartition("/")
    return environment, name, value


def _make_variable(text: str) -> Item:
    environment, name, value = _split(text)
    path = f"environments/{environment}/variables" if environment else "actions/variables"

    def compare() -> str:
        return explain({"value": value}, find(f"{path}/{name}") or {})

    def apply() -> None:
        there = find(f"{path}/{name}")
        where = f"{path}/{name}" if there else path
        ask("PATCH" if there else "POST", where, {"name": name, "value": value})

    return Item(f"variable {text.partition('=')[0]}", compare, apply)


def _make_secret(text: str, *, replace: bool) -> Item:
    environment, name, file = _split(text)
    path = f"environments/{environment}/secrets" if environment else "actions/secrets"

    def compare() -> str:
        there = find(f"{path}/{name}")
        return ("replace" if replace else "") if there else "set"

    def apply() -> None:
        value = Path(file).read_text(encoding="utf-8") if file else getpass.getpass(f"{text}: ")
        command = ["gh", "secret", "set", name, "--repo", os.environ["GITHUB_REPOSITORY"]]
        command += ["--env", environment] if environment else []
        done = subprocess.run(command, input=value, text=True, capture_output=True, check=False)
        if done.returncode:
            raise GitHubError("gh secret set", done.stderr.strip())

    return Item(f"secret {text.partition('=')[0]}", compare, apply)


if __name__ == "__main__":
    sys.exit(main())
