"""Ask advisory databases about the locked packages: OSV by way of uv audit, and Safety's.

Whoever is asked either answers for every package or counts as not having answered. No setting, no
environment variable and no file of the repository or the machine lets them pass over anything.
"""

import json
import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from audit.tools import UV, Done, NotKnownError, run
from lib.lockfile import REGISTRY, Locked
from packaging.utils import canonicalize_name

OSV, SAFETY = "uv audit (OSV)", "Safety"
"""Whoever is asked, as reports name them."""
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


def _keep() -> dict[str, str]:
    return LIMITS | {key: value for key, value in os.environ.items() if KEPT.fullmatch(key)}


class BadKeyError(NotKnownError):
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
        names, others = ({id_.upper() for id_ in found.ids} for found in (self, other))
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
        NotKnownError: It did not answer, or not for every package; or the lock is out of date.
    """
    check = [UV, "lock", "--check", "--quiet"]
    run(check, name="uv lock --check", seconds=timeout, environment=_keep())
    # without the project's settings, and so without [tool.uv.audit]; the lock was checked above
    command = [UV, "audit", "--preview-features=audit-command,json-output", "--frozen"]
    command += ["--no-config", "--output-format=json"]
    if address := os.environ.get("AUDIT_SERVICE_URL"):
        command.append(f"--service-url={address}")
    done = run(command, name="uv audit", codes={0, 1}, seconds=timeout, environment=_keep())
    try:
        answer = _read_audit(json.loads(done.stdout), packages)
    except (LookupError, TypeError, ValueError) as error:
        raise NotKnownError(f"uv audit: its report cannot be read ({error!r})") from error
    (folder / "osv.json").write_text(done.stdout, encoding="utf-8")
    asked = {(package.name, package.version) for package in packages if package.version}
    return _complete(answer, asked, done)


def ask_safety(packages: Collection[Locked], folder: Path, timeout: float) -> Answer:
    """Ask Safety: its whole database with the key of SAFETY_API_KEY, else its public one.

    Args:
        packages: The packages; those that come from no registry are left out.
        folder: Where `safety.json` and `safety.txt` go.
        timeout: Seconds after which it is given up.

    Raises:
        BadKeyError: It does not take the key.
        NotKnownError: It did not answer, or not for every package.
    """
    report = (folder / "safety.json").resolve()
    report.unlink(missing_ok=True)
    asked = {(package.name, package.version) for package in packages if package.kind == REGISTRY}
    with tempfile.TemporaryDirectory() as directory:
        # a folder of its own, also as home: policies of the project or the machine are not there
        requirements = Path(directory) / "requirements.txt"
        lines = [f"{package}=={version}\n" for package, version in sorted(asked)]
        requirements.write_text("".join(lines), encoding="utf-8")
        # apart from the project's environment: with httpx2 beside it, Safety fails
        command = [UV, "run", "--isolated", "--locked", "--only-group=audit"]
        command += [f"--project={Path.cwd()}", "env", f"HOME={directory}"]
        command += [f"SAFETY_SYSTEM_CONFIG_PATH={directory}", "safety"]
        command += ["--disable-optional-telemetry", "check", f"--file={requirements}"]
        command += [f"--save-json={report}", "--output=text"]
        if database := os.environ.get("SAFETY_DB_DIR"):
            command.append(f"--db={database}")
        done = run(
            command,
            name=SAFETY,
            codes={0, VULNERABLE, BAD_KEY},
            seconds=timeout,
            folder=Path(directory),
            environment=_keep(),
        )
    (folder / "safety.txt").write_text(done.stdout, encoding="utf-8")
    if done.returncode == BAD_KEY:
        raise BadKeyError(
            "Safety does not take the secret SAFETY_API_KEY: set a valid one, or delete it to do "
            "without a key"
        )
    try:
        answer = _read_safety(json.loads(report.read_text(encoding="utf-8")))
    except (LookupError, OSError, TypeError, ValueError) as error:
        raise NotKnownError(f"Safety: its report cannot be read ({error!r})") from error
    return _complete(answer, asked, done)


def merge(answers: Sequence[Answer]) -> list[Finding]:
    """Return the findings of all, those of one package that share an id as one."""
    merged: list[Finding] = []
    for answer in answers:
        for found in answer.findings:
            one = replace(
                found, package=canonicalize_name(found.package), reporters=(answer.scanner,)
            )
            for other in [other for other in merged if other.is_about_the_same(one)]:
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


def _complete(answer: Answer, asked: Collection[object], done: Done) -> Answer:
    """Return an answer if it is one for everything that was asked."""
    if not asked:
        raise NotKnownError(f"{answer.scanner}: there was no package to look at")
    if answer.packages < len(asked):
        raise NotKnownError(
            f"{answer.scanner}: looked at {answer.packages} of {len(asked)} packages"
        )
    if done.returncode and not answer.findings:
        raise NotKnownError(f"{answer.scanner}: found something, but its report is empty")
    return answer


def _read_audit(report: Mapping[str, Any], packages: Collection[Locked]) -> Answer:
    findings = [
        Finding(
            found["dependency"]["name"],
            found["dependency"]["version"],
            tuple(dict.fromkeys([found["id"], *found["aliases"]])),
            ", ".join(found["fix_versions"]),
            found["summary"] or found["description"] or "",
            found["link"] or "",
        )
        for found in report["vulnerabilities"]
    ]
    withdrawn = {
        status["name"]: status.get("reason") or ""
        for status in report["adverse_statuses"]
        if status["status"] == "quarantined"
    }
    findings += [
        Finding(package.name, package.version, ("quarantined",), text=withdrawn[package.name])
        for package in packages
        if package.name in withdrawn
    ]
    return Answer(OSV, int(report["summary"]["audited_packages"]), findings)


def _read_safety(report: Mapping[str, Any]) -> Answer:
    findings = [
        Finding(
            found["package_name"],
            found["analyzed_version"] or "",
            (str(found["vulnerability_id"]), *re.findall(r"CVE-[\d-]+", str(found.get("CVE")))),
            ", ".join(found.get("fixed_versions") or []),
            found.get("advisory") or "",
            found.get("more_info_url") or "",
        )
        for found in [*report["vulnerabilities"], *report["ignored_vulnerabilities"]]
    ]
    scanned = report["scanned_packages"].values()  # by name: a package may have several versions
    return Answer(SAFETY, sum(len(package["requirements"]) for package in scanned), findings)
