"""Read SARIF 2.1.0: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html."""

import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

type Json = dict[str, Any]

VERSION = "2.1.0"
LEVELS = ("error", "warning", "note", "none")
HIGHEST = 10
"""The highest security severity."""
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a log raises that has something else somewhere than SARIF has there."""


@dataclass(frozen=True)
class Result:
    """A result, and what it says when all that it refers to is looked up.

    Attributes:
        raw: The result as the log has it.
        rule: Id of its rule; empty if it names none.
        level: One of `LEVELS`.
        severity: The security severity of its rule, from 0 to 10; 0 if it has none.
        text: Its message.
        path: The file where it is shown, from the repository's root; the whole address of a place
            outside, if there is no other; empty if it names none.
        line: The line in that file; 0 if it names none.
        paths: All files of the repository that it is about: those of its locations, its related
            locations and the steps of its code flows.
    """

    raw: Json
    rule: str
    level: str
    severity: float
    text: str
    path: str
    line: int
    paths: frozenset[str]

    @property
    def is_suppressed(self) -> bool:
        """Whether somebody decided in the code that it does not count."""
        suppressions = self.raw.get("suppressions") or []
        return bool(suppressions) and all(
            one.get("status", "accepted") == "accepted" for one in suppressions
        )


def load(file: Path) -> Json:
    """Return the content of a SARIF file.

    Raises:
        ValueError: It is not SARIF 2.1.0, or the analysis did not end well.
        OSError: It cannot be read.
    """
    log = json.loads(file.read_text(encoding="utf-8-sig"))
    is_log = isinstance(log, dict) and isinstance(log.get("runs"), list)
    if not is_log or log.get("version") != VERSION:
        raise ValueError(f"{file} is not SARIF {VERSION}")
    if not log["runs"]:
        raise ValueError(f"{file} holds no run: nothing was analysed")
    for run in log["runs"]:
        if not isinstance(run.get("results"), list):
            raise ValueError(f"{file}: a run has no list of results: the analysis did not end")  # noqa: TRY004
        if not all(call.get("executionSuccessful") for call in run.get("invocations") or []):
            raise ValueError(f"{file}: the analysis failed, so what it found is not all there is")
    return dict(log)


def read(run: Json, root: Path) -> list[Result]:
    """Return the results of a run.

    Args:
        run: The run.
        root: The repository's root, where absolute addresses start.

    Raises:
        ValueError, or another of `MALFORMED`: Something in it is not as SARIF has it.
    """
    return [_read(run, result, root) for result in run["results"]]


def _read(run: Json, result: Json, root: Path) -> Result:
    component, rule = _find_rule(run, result)
    is_fault = result.get("kind", "fail") == "fail"
    severity = float((rule.get("properties") or {}).get("security-severity", 0))
    if not 0 <= severity <= HIGHEST:
        raise ValueError(f"a security-severity is {severity}, not one from 0 to {HIGHEST}")
    default = (rule.get("defaultConfiguration") or {}).get("level")
    level = (result.get("level") or default or "warning") if is_fault else "none"
    if level not in LEVELS:
        raise ValueError(f"a level is {level}, not one of {', '.join(LEVELS)}")
    shown = [_locate(run, place, root) for place in result.get("locations") or []]
    path, address, line = next((one for one in shown if one[0]), (*shown, ("", "", 0))[0])
    return Result(
        result,
        _find_id(result),
        level,
        severity * is_fault,
        _find_message(result, component, rule),
        path or address,
        line,
        frozenset(_locate(run, place, root)[0] for place in _list_places(run, result)) - {""},
    )


def _find_id(result: Json) -> str:
    return str(result.get("ruleId") or (result.get("rule") or {}).get("id") or "")


def _find_rule(run: Json, result: Json) -> tuple[Json, Json]:
    """Return the part of the tool that a result is from, and its rule; empty if not described."""
    reference = result.get("rule") or {}
    extensions = run["tool"].get("extensions") or []
    component = _pick(extensions, reference.get("toolComponent") or {}) or run["tool"]["driver"]
    index = result.get("ruleIndex", reference.get("index", -1))
    if rule := _pick(component.get("rules"), {"index": index}):
        return component, rule
    id_ = _find_id(result)
    rules = [rule for part in (component, *extensions) for rule in part.get("rules") or []]
    # "py/x/part" is an instance of the rule "py/x"
    fitting = [rule for rule in rules if f"{id_}/".startswith(f"{rule['id']}/")]
    return component, max(fitting, key=lambda rule: len(rule["id"]), default={})


def _find_message(result: Json, component: Json, rule: Json) -> str:
    """Return what a result says, with its arguments in the place of {0}, {1} and so on."""
    message: Json = result.get("message") or {}
    strings = rule.get("messageStrings") or {}, component.get("globalMessageStrings") or {}
    by_id = [known.get(message.get("id")) or {} for known in strings]
    known = [message, *by_id, rule.get("shortDescription") or {}]
    texts = [str(said[key]) for said in known for key in ("text", "markdown") if said.get(key)]
    text = next(iter(texts), "")
    arguments = message.get("arguments")
    if not arguments:  # many tools escape no brace
        return text
    values = {f"{{{number}}}": str(argument) for number, argument in enumerate(arguments)}
    values |= {"{{": "{", "}}": "}"}
    return re.sub(r"\{\{|\}\}|\{\d+\}", lambda match: values.get(match[0], match[0]), text)


def _list_places(run: Json, result: Json) -> Iterator[Json]:
    """Yield all locations of a result."""
    yield from result.get("locations") or []
    yield from result.get("relatedLocations") or []
    for flow in result.get("codeFlows") or []:
        for thread in flow.get("threadFlows") or []:
            for step in thread.get("locations") or []:
                shared = _pick(run.get("threadFlowLocations"), step)
                yield step.get("location") or shared.get("location") or {}


def _locate(run: Json, place: Json, root: Path) -> tuple[str, str, int]:
    """Return the path of a location, empty if outside of the repository; its address; its line."""
    physical = place.get("physicalLocation") or {}
    location = physical.get("artifactLocation") or {}
    line = int((physical.get("region") or {}).get("startLine", 0))
    if "uri" not in location:
        location = _pick(run.get("artifacts"), location).get("location") or {}
    address = str(location.get("uri", ""))
    base, seen = location.get("uriBaseId"), set()
    while address and base and base not in seen:  # a base may build on another
        seen.add(base)
        known = (run.get("originalUriBaseIds") or {}).get(base) or {}
        uri = str(known.get("uri", ""))
        address = f"{uri.removesuffix('/')}/{address}" if uri else address
        base = known.get("uriBaseId")
    parts = urlsplit(address)
    path = posixpath.normpath(unquote(parts.path))
    start = f"{root.as_posix().rstrip('/')}/"
    is_outside = parts.scheme not in {"", "file"} or path.split("/")[0] in {".", ".."}
    if is_outside or (path.startswith("/") and not path.startswith(start)):
        return "", address, line
    return path.removeprefix(start), address, line


def _pick(items: list[Json] | None, reference: Json) -> Json:
    """Return the item that a reference names by its index; empty if there is none."""
    index = reference.get("index", -1)
    return items[index] if items and 0 <= index < len(items) else {}
