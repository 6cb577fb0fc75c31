#!/usr/bin/env python3
"""Propose the newest release of the template as a pull request.

A release is proposed once: where a branch or a pull request for it is there, or was closed, nothing
is done. What Git cannot merge by itself is committed with the marks of the conflict, as a draft.
The token in TEMPLATE_UPDATE_TOKEN needs contents, pull requests and workflows, each to write: the
token of a job may not change workflows, and what it proposes starts no pipelines.
"""

import argparse
import base64
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git, GitError
from lib.github import GitHubError, ask, find_repository, list_all
from lib.markdown import plain
from lib.workflow_commands import annotate, summarize
from repository.rename_project import RefusedError
from repository.update_from_template import Conflicts, Update, apply, prepare

TITLE = "Update from the template"
MISSING = (
    "The variable TEMPLATE_REPOSITORY switches updates on, but there is no secret "
    "TEMPLATE_UPDATE_TOKEN. Make a fine-grained token, or one of a GitHub App, for this repository "
    "with contents, pull requests and workflows, each to write: "
    "gh secret set TEMPLATE_UPDATE_TOKEN --env template"
)
NOBODY = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


def propose(tree: Path, source: str, base: str) -> str:
    """Open a pull request with the newest release of the template; return what was done.

    Args:
        tree: The work tree, with its whole history.
        source: Address of the template.
        base: The branch that the pull request is for.

    Raises:
        GitError: Git failed.
        GitHubError: GitHub refused.
        RefusedError: Nobody knows what the copy was made from.
    """
    update = prepare(tree, source, "", "")
    if not update.commit:
        return f"This copy has everything of the template up to {update.version}."
    branch = f"template/{update.version}"
    git = Git(tree)
    owner = find_repository().partition("/")[0]
    if git("ls-remote", "--heads", "origin", branch) or list_all(
        f"pulls?state=all&head={owner}:{branch}"
    ):
        return f"{update.version} was proposed already."
    git("switch", "--quiet", "--force-create", branch)
    conflicts = _commit(git, update)
    git("push", "--quiet", "origin", branch)
    number = ask(
        "POST",
        "pulls",
        {
            "title": update.message.partition("\n")[0],
            "head": branch,
            "base": base,
            "body": describe(update, conflicts),
            "draft": bool(conflicts),
        },
    )["number"]
    left = f", with {len(conflicts)} conflicts to be solved" if conflicts else ""
    return f"Opened #{number} with {update.version}{left}."


def describe(update: Update, conflicts: Sequence[str]) -> str:
    """Return the text of the pull request; its end tells the next update where this one ended."""
    _, _, changes = update.message.partition("\n\n")
    changes, _, trailer = changes.rpartition("\n\n")
    lines = [plain(it[2:]) for it in changes.splitlines()]
    parts = ["\n".join(f"- {it}" for it in lines)]
    if conflicts:
        listed = "\n".join(f"- `{it}`" for it in conflicts)
        parts.insert(0, f"**Solve the conflicts in these files, on this branch:**\n\n{listed}")
    return "\n\n".join([*parts, trailer])


def main(arguments: Sequence[str] | None = None) -> int:
    """Propose; return 1 if that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="source", required=True, help="address of the template")
    parser.add_argument("--base", default="main", help="the branch that the pull request is for")
    options = parser.parse_args(arguments)
    try:
        _sign_in(os.environ.get("TEMPLATE_UPDATE_TOKEN", ""))
        done = propose(Path.cwd(), options.source, options.base)
    except (GitError, GitHubError, RefusedError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        annotate("error", TITLE, reason)
        summarize(f"### ❌ {TITLE}\n\n{plain(reason, 900)}")
        return 1
    print(done)
    summarize(f"### ✅ {TITLE}\n\n{done}")
    return 0


def _commit(git: Git, update: Update) -> list[str]:
    """Commit an update, conflicts included; return the files that have any."""
    for role in ("AUTHOR", "COMMITTER"):
        os.environ[f"GIT_{role}_NAME"], os.environ[f"GIT_{role}_EMAIL"] = NOBODY
    try:
        apply(git.tree, update)
    except Conflicts as conflicts:
        git("add", "--all")
        git("commit", "--quiet", "--no-verify", "-m", update.message)
        return str(conflicts).splitlines()
    return []


def _sign_in(token: str) -> None:
    """Give the token to the API's client, and to Git for GitHub alone; no command line shows it.

    Raises:
        RefusedError: There is none.
    """
    if not token:
        raise RefusedError(MISSING)
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    credentials = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    os.environ |= {
        "GH_TOKEN": token,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {credentials}",
    }


if __name__ == "__main__":
    sys.exit(main())
