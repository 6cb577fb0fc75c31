"""Git in one work tree."""

import os
import re
import subprocess
from pathlib import Path

PLAIN = {
    "color.ui": "false",
    "column.ui": "never",
    "i18n.logOutputEncoding": "UTF-8",
    "log.showSignature": "false",
}
"""What a person may have set, and would change what is read."""

NOWHERE = re.compile(
    r"not a git repository \(or any|(bad revision|ambiguous argument) 'HEAD'"
    r"|not have any commits yet"
)
"""What Git says outside of a repository, and in one without a commit."""
START = (
    "There is no Git repository here, or no commit in it: "
    "git init && git add -A && git commit -m 'feat: start'"
)


class GitError(Exception):
    """Git failed; the message is what it said."""


class Git:
    """Git in one work tree.

    Attributes:
        directory: The work tree; the current folder if not given.
        environment: What it sees of variables: ours, as they are now, and those that are given.
    """

    def __init__(self, directory: Path | None = None, **variables: str) -> None:
        self.directory = directory or Path()
        # in another language nobody would know what Git says
        self.environment = os.environ | {"LANGUAGE": "en"} | variables

    def __call__(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run `git ARGUMENTS`; return what it prints, without the last line break.

        Args:
            arguments: The command and its arguments.
            codes: The exit codes that are no failure.

        Raises:
            GitError: Git failed.
        """
        plain = [text for key, value in PLAIN.items() for text in ("-c", f"{key}={value}")]
        command = ["git", *plain, *arguments]
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, check=False
        )
        if done.returncode not in codes:
            said = done.stderr.decode(errors="replace").strip()
            said = START if NOWHERE.search(said) else said
            raise GitError(said or f"git {arguments[0]} ended with {done.returncode}")
        # a file name may be anything: it comes back as it was when it is given to Git again
        return done.stdout.decode(errors="surrogateescape").rstrip("\n")

    def find(self, revision: str) -> str:
        """Return the commit that a revision names; empty if it names none."""
        try:
            return self(
                "rev-parse", "--quiet", "--verify", "--end-of-options", f"{revision}^{{commit}}"
            )
        except GitError:
            return ""

    def list_changed(self, base: str, kinds: str = "") -> list[str]:
        """Return the files that differ between a commit and HEAD; a renamed one has both names.

        Args:
            base: The commit.
            kinds: Letters of `git diff --diff-filter`; all kinds if empty.

        Raises:
            GitError: There is no such commit.
        """
        options = ("--name-only", "--no-renames", f"--diff-filter={kinds}", "-z")
        return list(filter(None, self("diff", *options, base, "HEAD", "--").split("\0")))

    def list_files(self, tree: str) -> set[str]:
        """Return the paths of all files of a commit or tree.

        Raises:
            GitError: There is none.
        """
        return set(filter(None, self("ls-tree", "-r", "--name-only", "-z", tree).split("\0")))
