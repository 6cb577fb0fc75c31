#!/usr/bin/env python3
"""Show the results of SARIF files as a table, without those that were suppressed in the code.

With --gate it fails for what GitHub's own check fails for by default: the level error, or a
security severity that is high or critical. What was dismissed there does not count: UPLOADED_TO
names the ref for which GitHub took the files.

With --filter it shows nothing but what it leaves out, and writes NAME-filtered.sarif beside each
file NAME.sarif. With --changed-since, results stay that have a location, a related location or a
step of a code flow in a file that the change touches and that is no test. If REFUSED is `true`,
GitHub did not take the files, and is asked why, for the uploads SARIF_IDS: that CodeQL's default
setup is on, which only an administrator could ask for, is no failure, but the gate holds then.

The format is SARIF 2.1.0: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
"""

import argparse
import json
import os
import posixpath
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git, GitError
from lib.github import GitHubError, ask, list_all
from lib.markdown import plain, quote, table
from lib.workflow_commands import annotate, refuse, summarize

type Json = dict[str, Any]

VERSION = "2.1.0"
LEVELS = ("error", "warning", "note", "none")
MARKS = {"error": "❌", "warning": "⚠️", "note": "💬", "none": "💬"}
HIGH, HIGHEST = 7.0, 10
"""The security severity from which on GitHub calls it high, and the highest one."""
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a log raises that has something else somewhere than SARIF has there."""
TESTS = ("test_*.py", "conftest.py")
"""Names of files of the tests, wherever they are, besides all in folders of that name."""
PLACES = ("kept", "in files that this change does not touch or in tests", "in no file here",
          "suppressed in the code")  # fmt: skip
KEPT, ELSEWHERE, OUTSIDE, SUPPRESSED = PLACES
DEFAULT_SETUP = "when the default setup is enabled"
"""What GitHub's refusal ends with: shouldConsiderConfigurationError in github/codeql-action."""
OFF = (
    "GitHub's default setup analyses this repository, so it refuses the results of this workflow — "
    "findings are in the job summary and in an artifact, and inline suppressions do not count "
    "under Security — Settings → Advanced Security → CodeQL analysis → Switch to advanced, or "
    "uv run poe setup-github --apply; or keep the default setup and delete this workflow."
)


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

    @property
    def is_grave(self) -> bool:
        """Whether GitHub's check would fail for it."""
        return self.level == "error" or self.severity >= HIGH


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


def read(run: Json, result: Json, root: Path) -> Result:
    """Return what a result says.

    Args:
        run: The run that it is part of.
        result: The result as the log has it.
        root: The repository's root, where absolute addresses start.

    Raises:
        ValueError, or another of `MALFORMED`: Something in it is not as SARIF has it.
    """
    id_ = str(result.get("ruleId") or (result.get("rule") or {}).get("id") or "")
    rule = _find_rule(run, result, id_)
    is_fault = result.get("kind", "fail") == "fail"
    severity = float((rule.get("properties") or {}).get("security-severity", 0))
    if not 0 <= severity <= HIGHEST:
        raise ValueError(f"a security-severity is {severity}, not one from 0 to {HIGHEST}")
    default = (rule.get("defaultConfiguration") or {}).get("level")
    level = (result.get("level") or default or "warning") if is_fault else "none"
    if level not in LEVELS:
        raise ValueError(f"a level is {level}, not one of {', '.join(LEVELS)}")
    text = _find_message(result.get("message") or {}, rule)
    places = [place.get("physicalLocation") or {} for place in result.get("locations") or []]
    shown = [_locate(run, place, root) for place in places]
    path, address, line = next((one for one in shown if one[0]), (*shown, ("", "", 0))[0])
    steps = [
        _pick(run.get("threadFlowLocations"), step)  # which the flows of several results share
        for flow in result.get("codeFlows") or []
        for thread in flow.get("threadFlows") or []
        for step in thread.get("locations") or []
    ]
    found = _list_places([result, steps])
    paths = frozenset(_locate(run, place, root)[0] for place in found) - {""}
    return Result(result, id_, level, severity * is_fault, text, path or address, line, paths)


def _find_rule(run: Json, result: Json, id_: str) -> Json:
    """Return the rule of a result, from the tool or an extension of it; empty if not described."""
    reference = result.get("rule") or {}
    extensions = run["tool"].get("extensions") or []
    component = _pick(extensions, reference.get("toolComponent") or {}) or run["tool"]["driver"]
    index = result.get("ruleIndex", reference.get("index", -1))
    if rule := _pick(component.get("rules"), {"index": index}):
        return rule
    rules = [rule for part in (component, *extensions) for rule in part.get("rules") or []]
    # "py/x/part" is an instance of the rule "py/x"
    fitting = [rule for rule in rules if f"{id_}/".startswith(f"{rule['id']}/")]
    return max(fitting, key=lambda rule: len(rule["id"]), default={})


def _find_message(message: Json, rule: Json) -> str:
    """Return what a result says, with its arguments in the place of {0}, {1} and so on."""
    by_id = (rule.get("messageStrings") or {}).get(message.get("id")) or {}
    known = [message, by_id, rule.get("shortDescription") or {}]
    texts = [str(said[key]) for said in known for key in ("text", "markdown") if said.get(key)]
    text = next(iter(texts), "")
    arguments = message.get("arguments")
    if not arguments:  # many tools escape no brace
        return text
    values = {f"{{{number}}}": str(argument) for number, argument in enumerate(arguments)}
    values |= {"{{": "{", "}}": "}"}
    return re.sub(r"\{\{|\}\}|\{\d+\}", lambda match: values.get(match[0], match[0]), text)


def _list_places(node: object) -> Iterator[Json]:
    """Yield all physical locations in a part of a result."""
    if isinstance(node, list):
        for item in node:
            yield from _list_places(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "physicalLocation":
                yield value
            else:
                yield from _list_places(value)


def _locate(run: Json, place: Json, root: Path) -> tuple[str, str, int]:
    """Return the path of a location, empty if outside of the repository; its address; its line."""
    location = place.get("artifactLocation") or {}
    line = int((place.get("region") or {}).get("startLine", 0))
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
    path = posixpath.normpath(unquote(parts.path, errors="surrogateescape"))  # as Git has it
    start = f"{root.as_posix().rstrip('/')}/"
    is_outside = parts.scheme not in {"", "file"} or path.split("/")[0] in {".", ".."}
    if is_outside or (path.startswith("/") and not path.startswith(start)):
        return "", address, line
    return path.removeprefix(start), address, line


def _pick(items: list[Json] | None, reference: Json) -> Json:
    """Return the item that a reference names by its index; empty if there is none."""
    index = reference.get("index", -1)
    return items[index] if items and 0 <= index < len(items) else {}


def is_test(path: str) -> bool:
    """Say whether a file belongs to the tests."""
    place = PurePosixPath(path)
    return "tests" in place.parts or any(place.match(name) for name in TESTS)


def sort(
    log: Json, changed: Collection[str] | None, root: Path
) -> tuple[Json, list[tuple[str, Result]]]:
    """Return a copy of a log with the results that are kept alone, and each with its place.

    Args:
        log: The log.
        changed: The files that the change touches; None if there is no change to look at.
        root: The repository's root.

    Raises:
        ValueError, or another of `MALFORMED`: Something in it is not as SARIF has it.
    """
    wanted = None if changed is None else {path for path in changed if not is_test(path)}
    found: list[tuple[str, Result]] = []
    runs = []
    for run in log["runs"]:
        results = [read(run, result, root) for result in run["results"]]
        placed = [(_place(result, wanted), result) for result in results]
        runs.append(run | {"results": [result.raw for place, result in placed if place == KEPT]})
        found += placed
    return log | {"runs": runs}, found


def _place(result: Result, wanted: Collection[str] | None) -> str:
    if result.is_suppressed:
        return SUPPRESSED
    if wanted is None or not result.paths.isdisjoint(wanted):
        return KEPT
    return ELSEWHERE if result.paths else OUTSIDE


def describe(results: Iterable[Result]) -> str:
    """Return a table of results, the gravest first."""
    listed = sorted(
        results,
        key=lambda result: (not result.is_grave, -result.severity, LEVELS.index(result.level)),
    )
    rows = [
        [
            f"{MARKS[result.level]} {result.level}",
            f"{result.severity:g}" if result.severity else "",
            plain(result.rule),
            plain(f"{result.path}:{result.line}") if result.path else "",
            plain(result.text),
        ]
        for result in listed
    ]
    head = ["Level", "Severity", "Rule", "Place", "What it is"]
    return table(head, rows) if rows else "Nothing was found.\n"


def describe_places(found: Sequence[tuple[str, Result]]) -> str:
    """Return how many results are where, and those that nobody sees elsewhere."""
    results = {name: [result for place, result in found if place == name] for name in PLACES}
    parts = [", ".join(f"{len(listed)} {name}" for name, listed in results.items()) + ".\n"]
    parts += [
        f"**Left out: {name}**\n\n{describe(results[name])}"
        for name in (OUTSIDE, SUPPRESSED)
        if results[name]
    ]
    return "\n".join(parts)


def find_refusal() -> str:
    """Return why GitHub did not take the uploads that SARIF_IDS names."""
    reasons: dict[str, None] = {}
    try:
        for number in os.environ.get("SARIF_IDS", "").split():
            answer = ask("GET", f"code-scanning/sarifs/{number}")
            reasons |= dict.fromkeys(answer.get("errors") or [])
    except GitHubError as error:
        reasons[str(error)] = None
    no_reason = "it gave no reason; the log of the step before has what it answered"
    return "; ".join(reasons) or no_reason


def find_dismissed() -> set[tuple[str, str, int]]:
    """Return rule, file and line of what was dismissed on the ref that UPLOADED_TO names.

    Nothing was where GitHub does not say so.
    """
    if not (ref := os.environ.get("UPLOADED_TO")):
        return set()
    try:
        query = urlencode({"state": "dismissed", "ref": ref})
        alerts = list_all(f"code-scanning/alerts?{query}")
        places = [(one["rule"]["id"], one["most_recent_instance"]["location"]) for one in alerts]
        return {(rule, place["path"], place["start_line"]) for rule, place in places}
    except (GitHubError, *MALFORMED) as error:
        annotate("warning", "What was dismissed is not known", quote(f"Everything counts: {error}"))
        return set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Show or filter; return 0, 1 if the gate fails, 2 if a file is not read or not taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--name", default="Code scanning", help="heading of the report")
    parser.add_argument("--gate", action="store_true", help="fail for grave results")
    parser.add_argument("--filter", action="store_true", help="write what is kept")
    parser.add_argument("--changed-since", metavar="COMMIT", default="")
    options = parser.parse_args(arguments)
    refusal = find_refusal() if os.environ.get("REFUSED") == "true" else ""
    is_gate = options.gate or DEFAULT_SETUP in refusal
    found: list[tuple[str, Result]] = []
    try:
        commit = options.changed_since
        changed = set(Git().list_changed(commit, "d")) if commit else None
        for file in options.files:
            log, placed = sort(load(file), changed, Path.cwd())
            found += placed
            if options.filter:
                _write(log, file)
    except (GitError, OSError, *MALFORMED) as error:
        refuse(options.name, f"The results cannot be read: {error!r}")
        return 2
    kept = [result for place, result in found if place == KEPT]
    grave = [result for result in kept if result.is_grave]
    dismissed = find_dismissed() if is_gate and grave else set()
    grave = [one for one in grave if (one.rule, one.path, one.line) not in dismissed]
    mark = "🔎" if options.filter else "❌" if grave else "✅"
    text = describe_places(found) if options.filter else describe(kept)
    report = f"### {mark} {plain(options.name)}\n\n{text}"
    summarize(report)
    print(report)
    if DEFAULT_SETUP in refusal:
        annotate("notice", "Not available here", OFF)
        summarize(f"### 💡 Not available here\n\n{OFF}")
    elif refusal:
        refuse("GitHub did not take the results", refusal)
        return 2
    if is_gate and grave and os.environ.get("UPLOADED_TO"):
        summarize(
            "Mend it; or dismiss it under Security → Code scanning, and run this job again.\n"
        )
    for result in grave if is_gate else []:
        text = f"{result.path}:{result.line} {result.rule}: {result.text}"
        annotate("error", options.name, quote(text))
    return int(is_gate and bool(grave))


def _write(log: Json, file: Path) -> None:
    """Write a filtered log with a category of its own: else those of a job replace each other."""
    for run in log["runs"]:
        run["automationDetails"] = {"id": f"/language:{file.stem}/"}
    text = json.dumps(log, ensure_ascii=False, indent=2)
    target = file.with_stem(f"{file.stem}-filtered")
    target.write_text(f"{text}\n", encoding="utf-8", errors="surrogatepass")


if __name__ == "__main__":
    sys.exit(main())
