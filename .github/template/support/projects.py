"""Small projects with histories of their own, to be released by the real pipeline."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import Run
from fakes.github_api import FakeGitHub
from harness import CI, RunPipeline, make_quick, start_anew
from origin import Git

APP = '''"""A small app with a health check."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "ok", "version": version(__package__)}).encode())


def main():
    HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
'''
QUICK_BUILD = """#!/usr/bin/env bash
set -euo pipefail
mkdir -p "$2" && cd "$2"
python3 - "$1" "$(git rev-parse HEAD)" <<'PYTHON'
import gzip, io, sys, tarfile, zipfile

version, commit = sys.argv[1:]
text = f"Metadata-Version: 2.4\\nName: demo\\nVersion: {version}\\nSummary: {commit}\\n".encode()
with zipfile.ZipFile(f"demo-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(zipfile.ZipInfo(f"demo-{version}.dist-info/METADATA"), text)
with gzip.GzipFile(f"demo-{version}.tar.gz", "wb", mtime=0) as file:
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo(f"demo-{version}/PKG-INFO")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
PYTHON
sha256sum -- * >SHA256SUMS
"""


def make_template(directory: Path, *, quick: bool) -> None:
    """Make a copy of this repository with a small app, a stub for CI, and one commit.

    The quick one builds packages with nothing in them, and installs nothing.
    """
    git = start_anew(directory)
    package = next((directory / "src").iterdir())
    for folder in (package, directory / "tests"):
        shutil.rmtree(folder)
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cli.py").write_text(APP)
    (directory / ".github/workflows/ci.yml").write_text(CI)
    if quick:
        (directory / ".github/scripts/release/release_build.sh").write_text(QUICK_BUILD)
        (directory / ".github/scripts/release/release_try.py").write_text("print('It works.')\n")
        make_quick(directory)
    git.save("feat: start")


@dataclass
class Project:
    """A repository, what GitHub knows of it, and the pipeline to release it."""

    directory: Path
    run_pipeline: RunPipeline
    github: FakeGitHub = field(default_factory=FakeGitHub)

    def __post_init__(self) -> None:
        self.git = Git(self.directory)

    def commit(self, *messages: str) -> str:
        """Make an empty commit for each message; return the last one."""
        for message in messages:
            self.git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "-m", message)
        return self.git.find("HEAD")

    def change(self, path: str, edit: Callable[[str], str], message: str) -> None:
        """Edit a file and commit it."""
        file = self.directory / path
        file.write_text(edit(file.read_text()))
        self.git("commit", "--quiet", "--all", "-m", message)

    def tag(self, *names: str) -> None:
        """Put tags on the last commit."""
        for name in names:
            self.git("tag", name)

    def branch(self, name: str, start: str) -> None:
        """Make a branch and go to it."""
        self.git("checkout", "--quiet", "-b", name, start)

    def push(self, tag: str, **options: Any) -> Run:
        """Run the pipeline for a tag, which is made if it is not there."""
        if not self.git.find(f"refs/tags/{tag}"):
            self.tag(tag)
        return self._run(f"push:{tag}", **options)

    def dispatch(self, version: str, ref: str = "main", **options: Any) -> Run:
        """Run the pipeline by hand."""
        return self._run(
            f"workflow_dispatch:{ref}", overrides={"inputs.version": version}, **options
        )

    def _run(self, event: str, **options: Any) -> Run:
        run = self.run_pipeline(
            "release",
            event,
            small=False,
            source=self.directory,
            github=self.github,
            **options,
        )
        assert not self.github.unexpected
        if origin := self.github.releases.origin:
            self.git("fetch", "--quiet", str(origin.directory), "refs/tags/*:refs/tags/*")
        return run

    def notes(self, tag: str) -> str:
        """Return the notes of a release."""
        return str(self.github.releases.find(tag).fields["body"])


def subjects(notes: str) -> list[str]:
    """Return the changes that notes list, without their links."""
    return [line[2:].rpartition(" (")[0] for line in notes.splitlines() if line.startswith("- ")]


def results(run: Run) -> dict[str, str]:
    """Return the conclusions of the pipeline's own jobs."""
    return {job.id: job.conclusion for job in run.jobs if "/" not in job.id}
