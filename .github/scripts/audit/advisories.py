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
LIMITS = {"SAFETY_REQUEST_TIMEOUT": "20", "UV_HTTP_RETRIES": "2", "UV_HTTP_TIMEOUT": "20"}
KEPT = re.compile(
    r"(?!SAFETY_|UV_).*|SAFETY_(?:API_KEY|AUTH_SERVER_URL|DATA_API_BASE_URL|DB_DIR"
    r"|PLATFORM_API_BASE_URL|CA_BUNDLE|TLS_MODE)"
    r"|UV_(?:CACHE_DIR|DEFAULT_INDEX|HTTP_.+|INDEX.*|INSECURE_HOST|MANAGED_PYTHON|NATIVE_TLS"
    r"|NO_CACHE|OFFLINE|PYTHON.*|SYSTEM_CERTS|KEYRING_PROVIDER)"
)
"""Environment variables that decide how somebody is asked; others could decide about what."""


class CouldNotScanError(Exception):
    """Somebody gave no answer that could be relied on."""


class BadKeyError(CouldNotScanError):
    """Safety does not take the key."""


@dataclass(frozen=True)
class Finding:
    """What makes a locked package unsafe.

    Attributes:
        ids: All ids of the vulnerability, that of the database itself in front; `quarantined` is a
            package that its registry keeps from being installed.
        fixed: Versions that have it no longer; empty where none is known.
        reporters: Who knows it.
        dependencies: `production` or `development`.
    """

    package: str
    version: str
    ids: tuple[str, ...]
    fixed: str = ""
    text: str = ""
    link: str = ""
    reporters: tuple[str, ...] = ()
    dependencies: str = ""

    def is_about_the_same(self, other: "Finding") -> bool:
        """Say whether both are one vulnerability of one package: they share an id."""
        names, others = ({id_.upper() for id_ in it.ids} for it in (self, other))
        return (self.package, self.version) == (other.package, other.version) and bool(
            names & others
        )


@dataclass
class Answer:
    """What somebody said about so many packages, or why there is no answer.

    Attributes:
        refusal: Why there is no answer.
        fails: Whether the scan has failed without it.
    """

    scanner: str
    dependencies: str
    packages: int = 0
    findings: list[Finding] = field(default_factory=list)
    refusal: str = ""
    fails: bool = False


def ask_uv(packages: Collection[Locked], folder: Path, timeout: float) -> Answer:
    """Ask OSV about the whole lock, by way of uv audit.

    Args:
        packages: What is locked.
        folder: Where `osv.json` goes.
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
        answer = _read_audit(json.loads(done.stdout), packages)
    except (LookupError, TypeError, ValueError) as error:
        raise CouldNotScanError(f"uv audit: its report cannot be read ({error!r})") from error
    (folder / "osv.json").write_text(done.stdout, encoding="utf-8")
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
        number, findings = _read_scan(content, done.stdout) if with_key else _read_check(content)
    except (LookupError, OSError, TypeError, ValueError) as error:
        raise CouldNotScanError(f"{name}: its report cannot be read ({error!r})") from error
    return _complete(Answer(name, dependencies, number, findings), asked, done)


def merge(answers: Sequence[Answer]) -> list[Finding]:
    """Return the findings of all, those of one package that share an id as one."""
    merged: list[Finding] = []
    for answer in answers:
        for found in answer.findings:
            one = replace(
                found, package=canonicalize_name(found.package), reporters=(answer.scanner,)
            )
            for other in [it for it in merged if it.is_about_the_same(one)]:
                merged.remove(other)
                one = replace(
                    one,
                    ids=tuple(dict.fromkeys([*other.ids, *one.ids])),
                    fixed=other.fixed or one.fixed,
                    text=other.text or one.text,
                    link=other.link or one.link,
                    reporters=tuple(dict.fromkeys([*other.reporters, *one.reporters])),
                )
            merged.append(one)
    return merged


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


def _read_audit(report: Mapping[str, Any], packages: Collection[Locked]) -> Answer:
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
    statuses = {it["name"]: it.get("reason") for it in report["adverse_statuses"]
                if it["status"] == "quarantined"}  # fmt: skip
    findings += [
        Finding(it.name, it.version, ("quarantined",), text=statuses[it.name] or "")
        for it in packages
        if it.name in statuses
    ]
    return Answer("uv audit (OSV)", "all", int(report["summary"]["audited_packages"]), findings)


def _read_check(report: Mapping[str, Any]) -> tuple[int, list[Finding]]:
    return int(report["report_meta"]["packages_found"]), [
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


def _read_scan(report: Mapping[str, Any], shown: str) -> tuple[int, list[Finding]]:
    """Read the report of `safety scan`; what it shows has the aliases that the report has not."""
    pinned = [
        (dependency["name"], one)
        for project in report["scan_results"]["projects"]
        for file in project["files"]
        for dependency in file["results"]["dependencies"]
        for one in dependency["specifications"]
    ]
    findings = []
    for name, one in pinned:
        version = re.search(r"==\s*([^\s;\\]+)", one["raw"])
        remedy = one["vulnerabilities"].get("remediation") or {}
        fixed = remedy.get("recommended") or (remedy.get("closest_secure") or {}).get("upper")
        for it in one["vulnerabilities"]["known_vulnerabilities"]:
            line = re.search(rf"Vuln ID {re.escape(str(it['id']))}:([^\n]*)", shown)
            aliases = re.findall(r"CVE-\d+-\d+|GHSA(?:-\w{4}){3}", line[1]) if line else []
            findings.append(
                Finding(
                    name,
                    version[1] if version else "",
                    (str(it["id"]), *aliases),
                    str(fixed or ""),
                    f"affects {it.get('vulnerable_spec') or 'this version'}",
                    f"https://data.safetycli.com/v/{it['id']}/",
                )
            )
    return len(pinned), findings


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
        done = processes.run(
            command, timeout, folder=folder, environment=environment, errors=subprocess.PIPE
        )
    except subprocess.TimeoutExpired as error:
        raise CouldNotScanError(f"{name}: no answer in {timeout:g} seconds") from error
    except OSError as error:
        raise CouldNotScanError(f"{name}: {error}") from error
    if done.returncode in codes:
        return done
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    reason = lines[-1].removeprefix("cause: ") if lines else "no reason given"
    raise CouldNotScanError(f"{name}: {reason} (exit code {done.returncode})")
