"""GitHub releases are made completely, once, and published last, whatever fails on the way."""

from pathlib import Path

import pytest
from fakes.github_api import FakeGitHub
from fakes.github_releases import Asset, Release, Releases
from lib.github import GitHubError, ask
from origin import Git
from release import release_github


@pytest.fixture
def github(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGitHub:
    """Return GitHub, with a repository of one commit."""
    git = Git(tmp_path / "origin")
    git.directory.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "-m", "feat: start")
    github.releases.origin = git
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    return github


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    names = ["demo-1.0.0-py3-none-any.whl", "demo-1.0.0.tar.gz", "SHA256SUMS"]
    for name in names:
        (tmp_path / name).write_text(f"content of {name}")
    return [tmp_path / name for name in names]


def release(
    github: FakeGitHub, files: list[Path], tag: str = "v1.0.0", notes: str = "notes"
) -> int:
    assert github.releases.origin
    commit = github.releases.origin.find("main")
    (files[0].parent / "notes.md").write_text(notes, encoding="utf-8")
    options = ["--tag", tag, "--commit", commit, "--notes", str(files[0].parent / "notes.md")]
    return release_github.main([*options, *map(str, files)])


def tags(github: FakeGitHub) -> list[str]:
    assert github.releases.origin
    return github.releases.origin("tag").split()


def check_complete(github: FakeGitHub, files: list[Path], tag: str = "v1.0.0") -> None:
    assert [one.tag for one in github.releases.all] == [tag]
    made = github.releases.all[0]
    assert made.draft == ("-" in tag)
    assert bool(made.fields["prerelease"]) == ("-" in tag)
    assert made.fields["body"].startswith("notes\n\n<!-- release of ")
    assert sorted(asset.name for asset in made.assets) == sorted(file.name for file in files)
    assert all(
        asset.content == (files[0].parent / asset.name).read_bytes() for asset in made.assets
    )
    assert tags(github) == [tag]


def test_stable(github: FakeGitHub, files: list[Path], tmp_path: Path) -> None:
    assert release(github, files) == 0
    check_complete(github, files)
    assert github.releases.latest == "v1.0.0"
    assert github.releases.all[0].immutable
    changes = [request for request in github.requests if not request.startswith("GET")]
    assert changes[0].startswith("POST")
    assert changes[-1].startswith("PATCH")
    assert "v1.0.0 is published" in (tmp_path / "summary").read_text()


@pytest.mark.parametrize("lose_answer", [False, True])
@pytest.mark.parametrize(("tag", "start"), [("v1.0.0", 0), ("v1.0.0-rc.1", -2)])
def test_goes_on_after_any_request_has_failed(
    github: FakeGitHub, files: list[Path], tag: str, start: int, *, lose_answer: bool
) -> None:
    files = files[1:]
    release(github, files, tag)
    requests = github.requests.copy()
    assert len(requests) > 5
    git = github.releases.origin
    assert git
    for number, request in [*enumerate(requests)][start:]:
        github.releases = Releases()
        github.releases.origin = git
        git("tag", "--delete", tag)
        github.requests.clear()
        github.fail_at, github.lose_answer = number, lose_answer
        assert release(github, files, tag) == 1, request
        last = number == len(requests) - 1
        assert all(one.draft for one in github.releases.all) or (last and lose_answer), request
        assert not tags(github) or (last and lose_answer), request
        github.fail_at = -1
        assert release(github, files, tag) == 0, request
        check_complete(github, files, tag)


@pytest.mark.parametrize("digests", [True, False])
def test_what_is_published_never_changes(
    github: FakeGitHub, files: list[Path], capsys: pytest.CaptureFixture[str], *, digests: bool
) -> None:
    github.releases.digests = digests
    github.releases.immutable = False
    signature = files[0].with_name("demo.sigstore.json")
    signature.write_text("one")
    files.append(signature)
    release(github, files)
    github.requests.clear()
    signature.write_text("another signature of the same files")
    assert release(github, files, notes="other notes") == 0
    assert all(request.startswith("GET") for request in github.requests)
    assert github.releases.all[0].find(signature.name) == b"one"
    before = files[1].read_bytes()
    files[1].write_text("other bytes")
    assert release(github, files) == 1
    assert "is published with other bytes" in capsys.readouterr().out
    assert github.releases.all[0].find(files[1].name) == before


def test_published_without_files(
    github: FakeGitHub, files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {"tag_name": "v1.0.0", "draft": False, "target_commitish": "main"}
    by_hand = Release(99, fields, immutable=True)
    github.releases.all.append(by_hand)
    assert release(github, files) == 1
    assert "It was published without this pipeline" in capsys.readouterr().out
    by_hand.immutable = False
    assert release(github, files) == 0
    assert len(by_hand.assets) == len(files)


def draft_of(github: FakeGitHub, **fields: object) -> Release:
    """Put a draft on GitHub that somebody made in its form."""
    content = {"tag_name": "v1.0.0", "draft": True, "target_commitish": "main", **fields}
    github.releases.all.append(Release(50 + len(github.releases.all), content))
    return github.releases.all[-1]


@pytest.mark.parametrize("body", ["by hand", "by hand\r\n", "<!-- a comment -->"])
def test_what_people_wrote_into_a_draft_stays(
    github: FakeGitHub, files: list[Path], body: str
) -> None:
    draft = draft_of(github, name="The big one", body=body)
    draft_of(github, name="ours", body="")
    assert release(github, files) == 0
    assert not draft.draft
    assert (draft.fields["name"], draft.fields["body"]) == ("The big one", body)


def test_file_that_somebody_put_into_a_draft_is_not_published(
    github: FakeGitHub, files: list[Path], tmp_path: Path
) -> None:
    draft = draft_of(github, name="", body="")
    draft.assets.append(Asset(77, "demo-1.0.0-py3-none-any.exe", b"evil"))
    assert release(github, files) == 1
    assert draft.draft
    assert "demo-1.0.0-py3-none-any.exe, which this run" in (tmp_path / "summary").read_text()
    draft.assets.clear()
    assert release(github, files) == 0


@pytest.mark.parametrize("body", [None, " \n"])
def test_empty_draft_is_filled(github: FakeGitHub, files: list[Path], body: str | None) -> None:
    draft_of(github, name="", body=body)
    assert release(github, files) == 0
    check_complete(github, files)
    assert github.releases.all[0].fields["name"] == "v1.0.0"


def test_notes_that_people_edited_stay_and_ours_are_brought_up_to_date(
    github: FakeGitHub, files: list[Path]
) -> None:
    tag = "v1.0.0-rc.1"
    release(github, files, tag, notes="old notes")
    draft = github.releases.all[0]
    draft.assets[0] = Asset(77, files[0].name, b"old bytes")
    assert release(github, files, tag) == 0
    check_complete(github, files, tag)
    edited = draft.fields["body"].replace("notes", "other words")
    draft.fields["body"] = edited
    assert release(github, files, tag) == 0
    assert draft.fields["body"] == edited


def test_commit_with_other_workflows_is_released_if_its_tag_exists(
    github: FakeGitHub, files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    git = github.releases.origin
    assert git
    (git.directory / ".github/workflows").mkdir(parents=True)
    (git.directory / ".github/workflows/ci.yml").write_text("name: CI\n")
    old = git.find("main")
    git.save("ci: bump")
    notes = files[0].parent / "notes.md"
    notes.write_text("notes")
    options = ["--tag", "v1.0.0", "--commit", old, "--notes", str(notes), *map(str, files)]
    assert release_github.main(options) == 1
    assert f"git tag v1.0.0 {old[:12]} && git push origin v1.0.0" in capsys.readouterr().out
    git("tag", "v1.0.0", old)
    assert release_github.main(options) == 0
    check_complete(github, files)


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        (401, "Bad credentials", "run this job again"),
        (403, "secondary rate limit. GitHub's limit of requests is reached", "run this job again"),
        (403, "Resource not accessible by integration", "git push origin v1.0.0"),
        (422, "Cannot create ref due to creations being restricted.", "A ruleset lets no"),
        (422, "Repository rule violations found", "A ruleset lets no"),
        (422, "Cannot upload assets to an immutable release", "release the next"),
        (422, "Reference already exists", "it goes on where it stopped"),
        (503, "Service Unavailable", "run this job again"),
    ],
)
def test_what_github_says_leads_to_what_to_do(status: int, reason: str, advice: str) -> None:
    error = GitHubError("POST releases", reason, status)
    text = release_github.explain(error, "v1.0.0", "0" * 40)
    assert text.startswith(f"POST releases: {reason}")
    assert advice in text


def test_protected_tag_and_wrong_tag_are_refused(
    github: FakeGitHub, files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    github.releases.protected = True
    assert release(github, files) == 1
    error = capsys.readouterr().out
    assert error.startswith("::error title=The release is not complete::")
    assert "A ruleset lets no pipeline make this tag" in error
    assert release(github, files, "foo") == 1
    assert "foo is not a version" in capsys.readouterr().out


def test_latest_is_the_highest_stable(
    github: FakeGitHub, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag, latest in [("v2.0.0", "v2.0.0"), ("v1.9.0", "v2.0.0"), ("v2.0.1", "v2.0.1")]:
        assert release(github, files[2:], tag) == 0
        assert github.releases.latest == latest
    monkeypatch.setattr(release_github, "list_all", lambda *_: [])  # two releases at once
    assert release(github, files[2:], "v1.9.1") == 0
    assert github.releases.latest == "v2.0.1"


def test_notes_that_are_too_long_are_cut_and_that_is_said(
    github: FakeGitHub, files: list[Path]
) -> None:
    link = "**Full changes:** https://github.com/o/r/compare/v0.9.0...v1.0.0"
    notes = "### Features\n\n" + "- ein Änderung 🎉\n" * 10_000 + f"\n{link}\n"
    assert release(github, files, notes=notes) == 0
    body = github.releases.all[0].fields["body"]
    listed = body.count("\n- ")
    assert listed > 5000
    assert f"**{10_000 - listed} more changes do not fit here.**" in body
    assert link in body


UPLOADS = "{url}/repos/octo-org/widget"
REFUSED: dict[str, tuple[str, str, object, int]] = {
    "a second release": ("POST", "releases", {"tag_name": "v1.0.0"}, 422),
    "unknown fields": ("POST", "releases", {"tag_name": "v3.0.0", "unknown": 1}, 422),
    "long notes": ("POST", "releases", {"tag_name": "v3.0.0", "body": "x" * 125_001}, 422),
    "a second tag": ("POST", "git/refs", {"ref": "refs/tags/v1.0.0", "sha": "main"}, 422),
    "a tag of nothing": ("POST", "git/refs", {"ref": "refs/tags/v3.0.0", "sha": "0" * 40}, 422),
    "back to a draft": ("PATCH", "releases/{id}", {"draft": True}, 422),
    "deleting an asset": ("DELETE", "releases/assets/{asset}", None, 422),
    "an asset too late": ("POST", f"{UPLOADS}/releases/{{id}}/assets?name=n", {"a": 1}, 422),
}


@pytest.mark.parametrize("name", REFUSED)
def test_fake_refuses_what_github_refuses(github: FakeGitHub, files: list[Path], name: str) -> None:
    method, path, content, status = REFUSED[name]
    release(github, files)
    made = github.releases.all[0]
    with pytest.raises(GitHubError) as error:
        ask(method, path.format(id=made.id, asset=made.assets[0].id, url=github.url), content)
    assert error.value.status == status
    github.unexpected.clear()
