"""Read SARIF 2.1.0: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

type Json = dict[str, Any]

VERSION = "2.1.0"
HIGHEST = 10
"""The highest security severity."""
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a log raises that has something else somewhere than SARIF has there."""


def load(file: Path) -> Json:
    """Return the content of a SARIF file.

    Raises:
        ValueError: It is not SARIF 2.1.0, or the analysis did not end well.
        OSError: It cannot be read.
    """
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    is_log = isinstance(content, dict) and isinstance(content.get("runs"), list)
    if not is_log or content.get("version") != VERSION:
        raise ValueError(f"{file} is not SARIF {VERSION}")
    if not content["runs"]:
        raise ValueError(f"{file} holds no run: nothing was analysed")
    for run in content["runs"]:
        if not isinstance(run.get("results"), list):
            raise ValueError(f"{file}: a run has no list of results: the analysis did not end")  # noqa: TRY004
        if not all(it.get("executionSuccessful") for it in run.get("invocations") or []):
            raise ValueError(f"{file}: the analysis failed, so what it found is not all there is")
    log: Json = content
    return log


def find_paths(run: Json, result: Json, root: Path) -> set[str]:
    """Return the files that a result is about, from the repository's root.

    Those are its locations, its related locations and the steps of its code flows; a file outside
    of the repository is not among them.
    """
    return {
        path
        for location in _find_locations(run, result)
        if (path := resolve(run, location.get("artifactLocation", {}), root))
    }


def find_place(run: Json, result: Json, root: Path) -> tuple[str, int]:
    """Return the file and the line where a result is shown; empty and 0 if it names none.

    A place outside of the repository is told as its whole address, if there is no other.
    """
    outside = ("", 0)
    for location in result.get("locations") or []:
        physical = location.get("physicalLocation", {})
        artifact = physical.get("artifactLocation", {})
        line = int(physical.get("region", {}).get("startLine", 0))
        if path := resolve(run, artifact, root):
            return path, line
        outside = outside if outside[0] else (_find_address(run, artifact), line)
    return outside


def resolve(run: Json, location: Json, root: Path) -> str:
    """Return the path of an artifact location from the repository's root; empty if outside.

    Args:
        run: The run that it is from: it knows base addresses and artifacts by number.
        location: The artifact location.
        root: The repository's root, where absolute addresses start.
    """
    parts = urlsplit(_find_address(run, location))
    if parts.scheme not in {"", "file"}:
        return ""
    path = posixpath.normpath(unquote(parts.path))
    if path.startswith("/"):
        start = f"{root.as_posix().rstrip('/')}/"
        if not path.startswith(start):
            return ""
        path = path.removeprefix(start)
    return "" if path == "." or path.split("/")[0] == ".." else path


def find_rule(run: Json, result: Json) -> Json:
    """Return the rule that a result is an instance of; empty if the run does not describe it."""
    reference = result.get("rule") or {}
    index = int(result.get("ruleIndex", reference.get("index", -1)))
    component = _find_component(run, reference.get("toolComponent"))
    rules: list[Json] = component.get("rules") or []
    if 0 <= index < len(rules):
        return rules[index]
    id_ = find_rule_id(result)
    components = [component, *(run["tool"].get("extensions") or [])]
    every: list[Json] = [rule for it in components for rule in it.get("rules") or []]
    # "py/x/part" is an instance of the rule "py/x"
    fitting = [it for it in every if f"{id_}/".startswith(f"{it['id']}/")]
    return max(fitting, key=lambda it: len(it["id"])) if fitting else {}


def find_rule_id(result: Json) -> str:
    """Return the id of the rule that a result names."""
    return str(result.get("ruleId") or (result.get("rule") or {}).get("id") or "")


def find_level(run: Json, result: Json) -> str:
    """Return the level of a result: `error`, `warning`, `note` or `none`."""
    if result.get("kind", "fail") != "fail":
        return "none"
    default = find_rule(run, result).get("defaultConfiguration") or {}
    return str(result.get("level") or default.get("level") or "warning")


def is_security(run: Json, result: Json) -> bool:
    """Say whether a result is about security, not only about quality."""
    properties = find_rule(run, result).get("properties") or {}
    return "security-severity" in properties or "security" in (properties.get("tags") or [])


def find_severity(run: Json, result: Json) -> float:
    """Return the security severity of a result's rule, from 0 to 10; 0 if it has none.

    Raises:
        ValueError: It is no such number.
    """
    properties = find_rule(run, result).get("properties") or {}
    severity = float(properties.get("security-severity", 0))
    if not 0 <= severity <= HIGHEST:
        raise ValueError(
            f"{find_rule_id(result)} has a security-severity of {severity}, not one from 0 to 10"
        )
    return severity


def find_message(run: Json, result: Json) -> str:
    """Return what a result says, with its arguments in the place of {0}, {1} and so on."""
    message: Json = result.get("message") or {}
    id_ = message.get("id", "")
    component = _find_component(run, (result.get("rule") or {}).get("toolComponent"))
    rule = find_rule(run, result)
    known = [
        message,
        (rule.get("messageStrings") or {}).get(id_) or {},
        (component.get("globalMessageStrings") or {}).get(id_) or {},
        rule.get("shortDescription") or {},
    ]
    texts = (str(it.get(key) or "") for it in known for key in ("text", "markdown"))
    text = next(filter(None, texts), "")
    arguments = message.get("arguments") or []
    values = {f"{{{number}}}": str(it) for number, it in enumerate(arguments)}
    if not values:  # many tools escape no brace
        return text
    values |= {"{{": "{", "}}": "}"}
    return re.sub(r"\{\{|\}\}|\{\d+\}", lambda match: values.get(match[0], match[0]), text)


def is_suppressed(result: Json) -> bool:
    """Say whether somebody decided in the code that a result does not count."""
    suppressions = result.get("suppressions") or []
    return bool(suppressions) and all(
        it.get("status", "accepted") == "accepted" for it in suppressions
    )


def _find_address(run: Json, location: Json) -> str:
    """Return the address of an artifact location; empty if it has none."""
    if "uri" not in location:
        artifacts = run.get("artifacts") or []
        index = location.get("index", -1)
        location = artifacts[index].get("location", {}) if 0 <= index < len(artifacts) else {}
    uri = str(location.get("uri", ""))
    return _find_base(run, location.get("uriBaseId", ""), ()) + uri if uri else ""


def _find_component(run: Json, reference: Json | None) -> Json:
    tool: Json = run["tool"]
    extensions: list[Json] = tool.get("extensions") or []
    if reference and 0 <= reference.get("index", -1) < len(extensions):
        return extensions[reference["index"]]
    driver: Json = tool["driver"]
    return driver


def _find_locations(run: Json, result: Json) -> Iterator[Json]:
    """Yield the physical locations of a result."""
    places = [*(result.get("locations") or []), *(result.get("relatedLocations") or [])]
    for flow in result.get("codeFlows") or []:
        for thread in flow.get("threadFlows") or []:
            places += [_find_step(run, step) for step in thread.get("locations") or []]
    for place in places:
        if physical := place.get("physicalLocation"):
            yield physical


def _find_step(run: Json, step: Json) -> Json:
    """Return the location of a step of a code flow, which may be one of the run's by number."""
    if "location" not in step:
        known = run.get("threadFlowLocations") or []
        index = step.get("index", -1)
        step = known[index] if 0 <= index < len(known) else {}
    location: Json = step.get("location", {})
    return location


def _find_base(run: Json, name: str, seen: tuple[str, ...]) -> str:
    """Return the address that a base id stands for, which may build on another."""
    bases: Mapping[str, Json] = run.get("originalUriBaseIds") or {}
    if name not in bases or name in seen:
        return ""
    base = bases[name]
    address = str(base.get("uri", ""))
    if address and not address.endswith("/"):
        address += "/"
    return _find_base(run, base.get("uriBaseId", ""), (*seen, name)) + address
