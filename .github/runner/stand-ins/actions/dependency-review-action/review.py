"""Judge the dependencies that a pull request adds, as the action does by its configuration.

An expression is denied if an alternative of it is a denied licence alone, and allowed if all parts
of an alternative are allowed: https://github.com/actions/dependency-review-action.
"""

import ast
import json
import os
import re
import sys
from itertools import product
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import Request, urlopen

import yaml
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

SEVERITIES = ["low", "moderate", "high", "critical"]
SCOPES = ["runtime", "development", "unknown"]
LISTS = ["allow-licenses", "deny-licenses", "fail-on-scopes", "allow-ghsas",
         "allow-dependencies-licenses", "deny-packages", "deny-groups"]  # fmt: skip
FIELDS = {"change_type", "manifest", "ecosystem", "name", "version", "package_url", "license",
          "source_repository_url"}  # fmt: skip
type License = tuple[str, bool, str]
"""An id without its ending, whether later versions count, and the exception."""


def read_config(text: str) -> dict[str, Any]:
    """Return the options; keys that the action does not know are passed over, as there.

    Raises:
        ValueError: The action would refuse them.
    """
    defaults = {"fail-on-severity": "low", "fail-on-scopes": ["runtime"]}
    options: dict[str, Any] = defaults | yaml.safe_load(text)
    for key in LISTS:
        if isinstance(value := options.get(key), str):
            options[key] = [part.strip() for part in value.split(",")]
        if not isinstance(options.get(key, []), list):
            raise ValueError(f"Expected array, received {options[key]!r} for {key}")  # noqa: TRY004
    _check_licenses(options)
    if options["fail-on-severity"] not in SEVERITIES or {*options["fail-on-scopes"]} - {*SCOPES}:
        raise ValueError("Invalid enum value of fail-on-severity or fail-on-scopes")
    for address in options.get("allow-dependencies-licenses", []):
        if not re.match(r"pkg:[\w-]+/.", str(address)):
            raise ValueError(f"Error parsing package-url: {address}")
    return options


def _check_licenses(options: dict[str, Any]) -> None:
    for key in ("allow-licenses", "deny-licenses"):
        if wrong := [value for value in options.get(key, []) if not is_valid(value)]:
            raise ValueError(f"Invalid license(s) in {key}: {', '.join(map(str, wrong))}")
    if "allow-licenses" in options and "deny-licenses" in options:
        raise ValueError("You cannot specify both allow-licenses and deny-licenses")
    if "allow-licenses" in options and not options["allow-licenses"]:
        raise ValueError("You should provide at least one license in allow-licenses")


def is_valid(expression: object) -> bool:
    """Say whether an SPDX expression is written as SPDX has it, upper and lower case too."""
    try:
        return canonicalize_license_expression(str(expression)) == expression
    except InvalidLicenseExpression:
        return False


def expand(expression: str) -> list[list[License]]:
    """Return the alternatives of a valid expression, each with the licences that it joins."""

    def translate(word: re.Match[str]) -> str:
        return word[0].lower() if word[0] in {"AND", "OR"} else repr(word[0])

    # AND and OR bind as those of Python
    python = re.sub(r"[^\s()]+(?: WITH [^\s()]+)?", translate, expression)
    return _join(ast.parse(python, mode="eval").body)


def _join(node: ast.expr) -> list[list[License]]:
    if isinstance(node, ast.BoolOp):
        parts = [_join(value) for value in node.values]
        if isinstance(node.op, ast.Or):
            return [way for part in parts for way in part]
        return [[one for way in ways for one in way] for ways in product(*parts)]
    id_, _, exception = ast.literal_eval(node).partition(" WITH ")
    name = re.sub(r"(-only|-or-later|\+)$", "", id_)
    return [[(name, id_.endswith(("-or-later", "+")), exception)]]


def fits(one: License, other: License) -> bool:
    """Say whether two licences can be the same one, where `or later` reaches upwards."""
    (name, later, exception), (listed, listed_later, listed_exception) = one, other
    if exception != listed_exception:
        return False
    if name == listed:
        return True
    (stem, version), (listed_stem, listed_version) = map(split, (name, listed))
    if stem != listed_stem:
        return False
    return (later and version < listed_version) or (listed_later and version > listed_version)


def split(name: str) -> tuple[str, list[int]]:
    """Return a licence's name without its version, and the version."""
    match = re.fullmatch(r"(.*?)-(\d+(?:\.\d+)*)", name)
    return (match[1], [int(word) for word in match[2].split(".")]) if match else (name, [])


def is_refused(license_: str, options: dict[str, Any]) -> bool:
    """Say whether a valid expression is refused."""
    listed = options.get("allow-licenses", options.get("deny-licenses", []))
    plain = [entry for entry in listed if " AND " not in entry and " OR " not in entry]
    known = [expand(text)[0][0] for text in plain]
    if "allow-licenses" in options:
        ways = expand(license_)
        return not any(all(any(fits(part, one) for one in known) for part in way) for way in ways)
    return any(len(way) == 1 and fits(way[0], one) for way in expand(license_) for one in known)


def judge(change: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """Return what is wrong with an added dependency."""
    if missing := FIELDS - change.keys():
        raise ValueError(f"Required: {', '.join(sorted(missing))}")
    if change["change_type"] != "added":
        return []
    lowest = SEVERITIES.index(options["fail-on-severity"])
    found = [
        f"{change['name']}: {vulnerability['advisory_ghsa_id']}"
        for vulnerability in change.get("vulnerabilities", [])
        if SEVERITIES.index(vulnerability["severity"]) >= lowest
        and change.get("scope", "runtime") in options["fail-on-scopes"]
        and vulnerability["advisory_ghsa_id"] not in options.get("allow-ghsas", [])
    ]
    excluded = options.get("allow-dependencies-licenses", [])
    names = {unquote(re.split("[@?#]", address.removeprefix("pkg:"))[0]) for address in excluded}
    license_ = change["license"]
    is_judged = options.get("license-check", True) and license_ and is_valid(license_)
    if is_judged and f"{change['ecosystem']}/{change['name']}" not in names:
        found += [f"{change['name']}: {license_}"] if is_refused(license_, options) else []
    return found


def main() -> str:
    """Judge; return why it fails, or nothing."""
    try:
        options = read_config(Path(os.environ["INPUT_CONFIG_FILE"]).read_text(encoding="utf-8"))
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        return f"Unable to fetch or parse config file: {error}"
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    base, head = (event["pull_request"][side]["sha"] for side in ("base", "head"))
    path = f"dependency-graph/compare/{base}...{head}"
    address = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}"
    headers = {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}"}
    try:
        with urlopen(Request(address, headers=headers)) as answer:  # noqa: S310
            changes = json.load(answer)
        found = [line for change in changes for line in judge(change, options)]
    except HTTPError:
        return "Dependency review is not supported on this repository."
    except ValueError as error:
        return str(error)
    text = "\n".join(found) or "No vulnerabilities or license issues found."
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(f"### Dependency Review\n\n{text}\n")
    return (
        "Dependency review detected vulnerable packages or incompatible licenses." if found else ""
    )


if __name__ == "__main__":
    if reason := main():
        print(f"::error::{' '.join(reason.split())}")
        sys.exit(1)
