"""Write a bundle about files, or an image, unsigned; there must be at least one.

The digests are kept for the stand-in for `gh attestation verify`.
"""

import base64
import glob
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from tempfile import mkdtemp


def find_subjects() -> dict[str, str]:
    """Return the SHA-256 of each subject by its name; end the step if there is none."""
    digest, name = os.environ["INPUT_SUBJECT_DIGEST"], os.environ["INPUT_SUBJECT_NAME"]
    if digest:
        if not digest.startswith("sha256:") or not re.fullmatch(r"[^@A-Z]+", name):
            sys.exit("::error::subject-digest is no sha256, or subject-name not in lower case")
        return {name: digest.removeprefix("sha256:")}
    files = [Path(name) for name in glob.glob(os.environ["INPUT_SUBJECT_PATH"])]  # noqa: PTH207
    if not files:
        sys.exit("::error::Could not find subject at path " + os.environ["INPUT_SUBJECT_PATH"])
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def find_signer() -> str:
    """Return the file of the workflow that runs, which the certificate names."""
    name = f"name: {os.environ['GITHUB_WORKFLOW']}"
    files = Path(".github/workflows").iterdir()
    return next(str(file) for file in files if name in file.read_text().splitlines())


subjects = find_subjects()
repository, commit = os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_SHA"]
for digest in subjects.values():
    known = Path(os.environ["PIPELINES_ATTESTATIONS"], digest)
    known.write_text(f"{repository} {commit} {repository}/{find_signer()}\n")
statement = {
    "_type": "https://in-toto.io/Statement/v1",
    "predicateType": "https://slsa.dev/provenance/v1",
    "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects.items()],
}
envelope = {
    "payloadType": "application/vnd.in-toto+json",
    "payload": base64.b64encode(json.dumps(statement).encode()).decode(),
    "signatures": [],
}
kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
bundle = Path(mkdtemp(dir=os.environ["RUNNER_TEMP"]), "attestation.json")
bundle.write_text(json.dumps({"mediaType": kind, "dsseEnvelope": envelope}))
with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
    outputs.write(f"bundle-path={bundle}\n")
