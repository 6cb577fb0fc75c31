"""Ask advisory databases about the locked packages: Safety's, or OSV by way of uv audit.

Whoever is asked either answers for every package or counts as not having answered at all.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UV = os.environ.get("UV") or "uv"
SAFETY = ("run", "--isolated", "--locked", "--only-group=audit", "safety")
"""In an environment of its own: with httpx2 beside it, as in that of the tests, Safety fails."""

VULNERABLE = 64
BAD_KEY = 65
REASONS = {
    66: "too many requests",
    67: "its database could not be read",
    68: "its database could not be fetched",
    69: "its database is malformed",
    71: "a requirement could not be read",
}


class BadKeyError(Exception):
    """Safety does not take the key."""


class CouldNotScanError(Exception):
    """A scanner gave no answer that could be relied on."""


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a locked package; `fixed` is empty where no version is known."""

    package: str
    version: str
    ids: tuple[str, ...]
    fixed: str = ""
    text: str = ""
    link: str = ""


@dataclass
class Scan:
    """An answer: who gave it, for how many packages, and what it found."""

    scanner: str
    packages: int
    findings: list[Finding] = field(default_factory=list)


def export(selection: Sequence[str], file: Path) -> int:
    """Write the locked packages of a selection to a requirements file; return their number.

    Raises:
        CouldNotScanError: The lock could not be exported.
    """
    command = [UV, "export", "-q", "--locked", "--no-emit-project", *selection, "-o", str(file)]
    done = _run(command, timeout=60)
    if done.returncode:
        raise CouldNotScanError(f"uv export: {_last_line(done.stderr)}")
    return len(
        re.findall(r"^[\w.-]+(?:\[.*?\])?==", file.read_text(encoding="utf-8"), re.MULTILINE)
    )


def ask_safety(requirements: Path, expected: int, output: Path, timeout: float) -> Scan:
    """Ask Safety: `safety scan` with the key of SAFETY_API_KEY, else `safety check`.

    Args:
        requirements: A file `requirements.txt`, alone in its folder.
        expected: Number of packages in it.
        output: Where the reports go, without suffix; `.json` and `.txt` are added.
        timeout: Seconds after which it is given up.

    Raises:
        BadKeyError: It does not take the key.
        CouldNotScanError: It did not answer, or not for every package.
    """
    with_key = bool(os.environ.get("SAFETY_API_KEY"))
    report = output.with_suffix(".json")
    report.unlink(missing_ok=True)
    if with_key:
        name = "safety scan"
        options = ["--stage=cicd", "scan", f"--target={requirements.parent}", "--output=screen"]
        options += ["--save-as", "json", str(report)]
    else:
        name = "safety check"
        options = ["check", f"--file={requirements}", f"--save-json={report}", "--output=text"]
        if database := os.environ.get("SAFETY_DB_DIR"):
            options.append(f"--db={database}")
    done = _run([UV, *SAFETY, "--disable-optional-telemetry", *options], timeout)
    output.with_suffix(".txt").write_text(done.stdout, encoding="utf-8")
    if done.returncode == BAD_KEY:
        raise BadKeyError(
            "Safety does not take the secret SAFETY_API_KEY: set a valid one, or delete it to do "
            "without a key"
        )
    if done.returncode not in {0, VULNERABLE}:
        reason = REASONS.get(done.returncode) or _last_line(done.stderr)
        raise CouldNotScanError(f"{name}: {reason} (exit code {done.returncode})")
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        scan = _read_scan(content) if with_key else _read_check(content)
    except (LookupError, OSError, TypeError, ValueError) as error:
        raise CouldNotScanError(f"{name}: its report cannot be read ({error!r})") from error
    if scan.packages < expected:
        raise CouldNotScanError(f"{name}: looked at {scan.packages} of {expected} packages")
    if done.returncode == VULNERABLE and not scan.findings:
        raise CouldNotScanError(f"{name}: found something, but its report is empty")
    return scan


def ask_uv(selection: Sequence[str], output: Path, timeout: float) -> Scan:
    """Ask OSV by way of uv audit.

    Args:
        selection: Options that select the packages, as for `uv export`.
        output: Where the reports go, without suffix; `.json` and `.txt` are added.
        timeout: Seconds after which it is given up.

    Raises:
        CouldNotScanError: It did not answer, or for no package.
    """
    command = [UV, "audit", "--preview-features=audit-command,json-output", "--locked"]
    command += ["--output-format=json", *selection]
    if address := os.environ.get("AUDIT_SERVICE_URL"):
        command.append(f"--service-url={address}")
    done = _run(command, timeout)
    if done.returncode not in {0, 1}:
        raise CouldNotScanError(f"uv audit: {_last_line(done.stderr)}")
    try:
        scan = _read_audit(json.loads(done.stdout))
    except (LookupError, TypeError, ValueError) as error:
        raise CouldNotScanError(f"uv audit: its report cannot be read ({error!r})") from error
    output.with_suffix(".json").write_text(done.stdout, encoding="utf-8")
    lines = [f"uv audit looked at {scan.packages} packages and found {len(scan.findings)}."]
    lines += [f"{it.package} {it.version}: {', '.join(it.ids)} {it.text}" for it in scan.findings]
    output.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not scan.packages:
        raise CouldNotScanError("uv audit: there was no package to look at")
    if done.returncode == 1 and not scan.findings:
        raise CouldNotScanError("uv audit: found something, but its report is empty")
    return scan


def _read_check(report: Mapping[str, Any]) -> Scan:
    findings = [
        Finding(
            it["package_name"],
            it["analyzed_version"] or "",
            tuple(filter(None, (str(it["vulnerability_id"]), it.get("CVE")))),
            ", ".join(it.get("fixed_versions") or []),
            it.get("advisory") or "",
            it.get("more_info_url") or "",
        )
        for it in report["vulnerabilities"]
    ]
    return Scan("safety check", int(report["report_meta"]["packages_found"]), findings)


def _read_scan(report: Mapping[str, Any]) -> Scan:
    scan = Scan("safety scan", 0)
    for project in report["scan_results"]["projects"]:
        for file in project["files"]:
            for dependency in file["results"]["dependencies"]:
                scan.packages += 1
                for pinned in dependency["specifications"]:
                    scan.findings += _read_specification(dependency["name"], pinned)
    return scan


def _read_specification(name: str, pinned: Mapping[str, Any]) -> list[Finding]:
    found = pinned["vulnerabilities"]
    remedy = found.get("remediation") or {}
    fixed = remedy.get("recommended") or (remedy.get("closest_secure") or {}).get("upper") or ""
    version = re.search(r"==\s*([^\s;\\]+)", pinned["raw"])
    return [
        Finding(
            name,
            version[1] if version else "",
            (str(it["id"]),),
            str(fixed),
            f"affects {it.get('vulnerable_spec') or 'this version'}",
            f"https://data.safetycli.com/v/{it['id']}/",
        )
        for it in found["known_vulnerabilities"]
    ]


def _read_audit(report: Mapping[str, Any]) -> Scan:
    findings = [
        Finding(
            it["dependency"]["name"],
            it["dependency"]["version"],
            (it["id"], *(alias for alias in it["aliases"] if alias != it["id"])),
            ", ".join(it["fix_versions"]),
            it["summary"] or it["description"] or "",
            it["link"] or "",
        )
        for it in report["vulnerabilities"]
    ]
    return Scan("uv audit (OSV)", int(report["summary"]["audited_packages"]), findings)


def _run(command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command and all that it starts for at most so many seconds."""
    limits = {"SAFETY_REQUEST_TIMEOUT": "20", "UV_HTTP_RETRIES": "2", "UV_HTTP_TIMEOUT": "20"}
    environment = limits | {key: it for key, it in os.environ.items() if key != "UV_NO_SYNC"}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            program = "safety" if "safety" in command else "uv"
            name = next(it for it in command if it in {"audit", "check", "export", "scan"})
            raise CouldNotScanError(
                f"{program} {name}: no answer in {timeout:g} seconds"
            ) from error
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("cause: ") if lines else "no reason given"
