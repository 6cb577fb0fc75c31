"""Ask advisory databases about the locked packages: OSV by way of uv audit, and Safety's.

Whoever is asked either answers for every package or counts as not having answered. No setting, no
environment variable and no file of the repository or the machine lets them pass over anything.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lib import processes
from lib.lockfile import REGISTRY, Locked
from packaging.utils import canonicalize_name

UV = os.environ.get("UV") or "uv"
VULNERABLE = 64
BAD_KEY = 65
REASONS = {
    66: "too many requests",
    67: "its database could not be read",
    68: "its database could not be fetched",
    69: "its database is malformed",
    71: "a requirement could not be read",
}
LIMITS = {"SAFETY_REQUEST_TIMEOUT": "20", "UV_HTTP_RETRIES": "2", "UV_HTTP_TIMEOUT": "20"}
KEPT = re.compile(
    r"(?!SAFETY_|UV_).*|SAFETY_(?:API_KEY|AUTH_SERVER_URL|DATA_API_BASE_URL|DB_DIR"
    r"|PLATFORM_API_BASE_URL|CA_BUNDLE|TLS_MODE)"
    r"|UV_(?:CACHE_DIR|DEFAULT_INDEX|HTTP_.+|INDEX.*|INSECURE_HOST|MANAGED_PYTHON|NATIVE_TLS"
    r"|NO_CACHE|OFFLINE|PYTHON.*|SYSTEM_CERTS|KEYRING_PROVIDER)"
)
"""Environment variables that decide how somebody is asked; others could decide about what."""


class BadKeyError(Exception):
    """Safety does not take the key."""


class CouldNotScanError(Exception):
    """Somebody gave no answer that could be relied on."""


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a locked package.

    Attributes:
        ids: All of its ids, that of the database itself in front.
        fixed: Versions that have it no longer; empty where none is known.
        reporters: Who knows it.
    """

    package: str
    version: str
    ids: tuple[str, ...]
    fixed: str = ""
    text: str = ""
    link: str = ""
    reporters: tuple[str, ...] = ()


@dataclass
class Answer:
    """What somebody said about so many packages, or why there is no answer."""

    scanner: str
    dependencies: str
    packages: int = 0
    findings: list[Finding] = field(default_factory=list)
    refusal: str = ""


def ask_uv(packages: Collection[Locked], folder: Path, timeout: float) -> Answer:
    """Ask OSV about the whole lock, by way of uv audit.

    Args:
        packages: What is locked.
        folder: Where `osv.json` and `osv.txt` go.
        timeout: Seconds after which it is given up.

    Raises:
        CouldNotScanError: It did not answer, or not for every package; or the lock is out of date.
    """
    _run([UV, "lock", "--check", "--quiet"], timeout, name="uv lock --check", codes={0})
    # without the project's settings, and so without [tool.uv.audit]; the lock was checked above
    command = [UV, "audit", "--preview-features=audit-command,json-output", "--frozen"]
    command += ["--no-config", "--output-format=json"]
    if address := os.environ.get("AUDIT_SERVICE_URL"):
        command.append(f"--service-url={address}")
    done = _run(command, timeout, name="uv audit", codes={0, 1})
    try:
        answer = _read_audit(json.loads(done.stdout))
    except (LookupError, TypeError, ValueError) as error:
        raise CouldNotScanError(f"uv audit: its report cannot be read ({error!r})") from error
    (folder / "osv.json").write_text(done.stdout, encoding="utf-8")
    lines = [f"uv audit looked at {answer.packages} packages and found {len(answer.findings)}."]
    lines += [f"{it.package} {it.version}: {', '.join(it.ids)} {it.text}" for it in answer.findings]
    (folder / "osv.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return _complete(answer, {(it.name, it.version) for it in packages if it.version}, done)


def ask_safety(
    dependencies: str, packages: Collection[Locked], folder: Path, timeout: float
) -> Answer:
    """Ask Safety: `safety scan` with the key of SAFETY_API_KEY, else `safety check`.

    Args:
        dependencies: What the packages are called, such as `production`.
        packages: The packages; those that come from no registry are left out.
        folder: Where its reports go, named after the dependencies.
        timeout: Seconds after which it is given up.

    Raises:
        BadKeyError: It does not take the key.
        CouldNotScanError: It did not answer, or not for every package.
    """
    with_key = bool(os.environ.get("SAFETY_API_KEY"))
    name = "safety scan" if with_key else "safety check"
    report = (folder / f"{dependencies}.json").resolve()
    report.unlink(missing_ok=True)
    asked = {(it.name, it.version) for it in packages if it.kind == REGISTRY}
    with tempfile.TemporaryDirectory() as directory:
        # a folder of its own, also as home: policies of the project or the machine are not there
        requirements = Path(directory) / "requirements.txt"
        lines = [f"{package}=={version}\n" for package, version in sorted(asked)]
        requirements.write_text("".join(lines), encoding="utf-8")
        if with_key:
            options = ["--stage=cicd", "scan", f"--target={directory}", "--output=screen"]
            options += ["--save-as", "json", str(report)]
        else:
            options = ["check", f"--file={requirements}", f"--save-json={report}", "--output=text"]
            if database := os.environ.get("SAFETY_DB_DIR"):
                options.append(f"--db={database}")
        # apart from the project's environment: with httpx2 beside it, Safety fails
        command = [UV, "run", "--isolated", "--locked", "--only-group=audit"]
        command += [f"--project={Path.cwd()}", "env", f"HOME={directory}"]
        command += [f"SAFETY_SYSTEM_CONFIG_PATH={directory}", "safety"]
        command += ["--disable-optional-telemetry", *options]
        codes = {0, VULNERABLE, BAD_KEY}
        done = _run(command, timeout, name=name, codes=codes, folder=Path(directory))
    (folder / f"{dependencies}.txt").write_text(done.stdout, encoding="utf-8")
    if done.returncode == BAD_KEY:
        raise BadKeyError(
            "Safety does not take the secret SAFETY_API_KEY: set a valid one, or delete it to do "
            "without a key"
        )
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        answer = _read_scan(content, done.stdout) if with_key else _read_check(content)
    except (LookupError, OSError, TypeError, ValueError) as error:
        raise CouldNotScanError(f"{name}: its report cannot be read ({error!r})") from error
    answer.dependencies = dependencies
    return _complete(answer, asked, done)


def merge(answers: Sequence[Answer]) -> list[Finding]:
    """Return the findings of all, those of one package that share an id as one."""
    merged: list[Finding] = []
    for answer in answers:
        for found in answer.findings:
            one = replace(
                found,
                package=canonicalize_name(found.package),
                reporters=(*found.reporters, answer.scanner),
            )
            for other in [it for it in merged if _is_same(it, one)]:
                merged.remove(other)
                one = _unite(other, one)
            merged.append(one)
    return merged


def _is_same(one: Finding, other: Finding) -> bool:
    ids = ({id_.upper() for id_ in it.ids} for it in (one, other))
    place = (one.package, one.version) == (other.package, other.version)
    return place and not next(ids).isdisjoint(next(ids))


def _unite(one: Finding, other: Finding) -> Finding:
    return replace(
        one,
        ids=tuple(dict.fromkeys([*one.ids, *other.ids])),
        fixed=one.fixed or other.fixed,
        text=one.text or other.text,
        link=one.link or other.link,
        reporters=tuple(dict.fromkeys([*one.reporters, *other.reporters])),
    )


def _complete(
    answer: Answer, asked: Collection[object], done: "subprocess.CompletedProcess[str]"
) -> Answer:
    """Return an answer if it is one for everything that was asked."""
    if not asked:
        raise CouldNotScanError(f"{answer.scanner}: there was no package to look at")
    if answer.packages < len(asked):
        raise CouldNotScanError(
            f"{answer.scanner}: looked at {answer.packages} of {len(asked)} packages"
        )
    if done.returncode and not answer.findings:
        raise CouldNotScanError(f"{answer.scanner}: found something, but its report is empty")
    return answer


def _read_audit(report: Mapping[str, Any]) -> Answer:
    findings = [
        Finding(
            it["dependency"]["name"],
            it["dependency"]["version"],
            tuple(dict.fromkeys([it["id"], *it["aliases"]])),
            ", ".join(it["fix_versions"]),
            it["summary"] or it["description"] or "",
            it["link"] or "",
        )
        for it in report["vulnerabilities"]
    ]
    number = int(report["summary"]["audited_packages"])
    return Answer("uv audit (OSV)", "all", number, findings)


def _read_check(report: Mapping[str, Any]) -> Answer:
    findings = [
        Finding(
            it["package_name"],
            it["analyzed_version"] or "",
            (str(it["vulnerability_id"]), *re.findall(r"CVE-[\d-]+", str(it.get("CVE")))),
            ", ".join(it.get("fixed_versions") or []),
            it.get("advisory") or "",
            it.get("more_info_url") or "",
        )
        for it in [*report["vulnerabilities"], *report["ignored_vulnerabilities"]]
    ]
    return Answer("safety check", "", int(report["report_meta"]["packages_found"]), findings)


def _read_scan(report: Mapping[str, Any], shown: str) -> Answer:
    """Read the report of `safety scan`; what it shows has the ids that the report has not."""
    answer = Answer("safety scan", "")
    for project in report["scan_results"]["projects"]:
        for file in project["files"]:
            for dependency in file["results"]["dependencies"]:
                answer.packages += len(dependency["specifications"])
                for pinned in dependency["specifications"]:
                    answer.findings += _read_specification(dependency["name"], pinned, shown)
    return answer


def _read_specification(name: str, pinned: Mapping[str, Any], shown: str) -> list[Finding]:
    found = pinned["vulnerabilities"]
    remedy = found.get("remediation") or {}
    fixed = remedy.get("recommended") or (remedy.get("closest_secure") or {}).get("upper") or ""
    version = re.search(r"==\s*([^\s;\\]+)", pinned["raw"])
    return [
        Finding(
            name,
            version[1] if version else "",
            (str(it["id"]), *_find_aliases(str(it["id"]), shown)),
            str(fixed),
            f"affects {it.get('vulnerable_spec') or 'this version'}",
            f"https://data.safetycli.com/v/{it['id']}/",
        )
        for it in found["known_vulnerabilities"]
    ]


def _find_aliases(id_: str, shown: str) -> list[str]:
    line = re.search(rf"Vuln ID {re.escape(id_)}:([^\n]*)", shown)
    return re.findall(r"CVE-\d+-\d+|GHSA(?:-\w{4}){3}", line[1]) if line else []


def _run(
    command: Sequence[str],
    timeout: float,
    *,
    name: str,
    codes: Collection[int],
    folder: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a program for at most so many seconds.

    Raises:
        CouldNotScanError: It took longer, or ended with another code than these.
    """
    environment = LIMITS | {key: it for key, it in os.environ.items() if KEPT.fullmatch(key)}
    try:
        done = processes.run(command, timeout, folder=folder, environment=environment)
    except subprocess.TimeoutExpired as error:
        raise CouldNotScanError(f"{name}: no answer in {timeout:g} seconds") from error
    except OSError as error:
        raise CouldNotScanError(f"{name}: {error}") from error
    if done.returncode in codes:
        return done
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    reason = REASONS.get(done.returncode) if name.startswith("safety") else ""
    reason = reason or (lines[-1].removeprefix("cause: ") if lines else "no reason given")
    raise CouldNotScanError(f"{name}: {reason} (exit code {done.returncode})")
