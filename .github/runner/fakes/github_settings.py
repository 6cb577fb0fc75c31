"""The part of the fake GitHub that knows a repository's settings, and what its plan offers."""

import base64
from typing import Any

from fakes.parts import Answer, Part, Request, not_found, refuse

PEOPLE = {"octocat": 1, "hubot": 2}
CHECKS = "required_status_checks"
RULES = {
    "creation",
    "deletion",
    "non_fast_forward",
    "pull_request",
    CHECKS,
    "required_signatures",
    "update",
}
ROLES = {2, 4, 5}
"""Maintain, which only organisations have, write, admin."""
UPGRADE = "Upgrade to GitHub Pro or make this repository public to enable this feature."
NO_REVIEWERS = (
    "Failed to create the environment protection rule. Please ensure the billing plan supports "
    "the required reviewers protection rule."
)
SWITCHES = {"prevent_self_review": False, "can_admins_bypass": True}
PROTECTION: dict[str, Any] = {"wait_timer": 0, "reviewers": [], **SWITCHES}
"""What a new environment has, and what one gets back that is not sent."""
POLICY = "deployment_branch_policy"
ENVIRONMENT = r"/environments/([^/]+)"


class Settings(Part):
    """The settings of a repository, all of them as in a new one.

    Attributes:
        private: Whether it is private.
        plan: The plan of its owner: `free`, `pro`, `team` or `enterprise`.
        kind: What its owner is: `Organization` or `User`.
        admin: Whether the token may change settings.
        repository: Fields of the repository itself.
        switches: Paths of what can be switched on, and whether it is.
        workflows: Paths of the workflows, and their states.
        objects: Paths of what is one object of fields.
        environments: The environments with their protection.
        tags: The patterns of tags, and the branch, that may deploy to an environment, by their ids.
        rulesets: The rulesets by their ids.
        secrets: The paths of the secrets that are set.
        changes: The requests that changed something.
    """

    def __init__(
        self, *, private: bool = False, plan: str = "free", owner: str = "octo-org"
    ) -> None:
        self.private = private
        self.plan = plan
        self.owner = owner
        self.kind = "Organization"
        self.admin = True
        self.repository: dict[str, Any] = {
            "default_branch": "main",
            "allow_squash_merge": True,
            "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
            "squash_merge_commit_message": "COMMIT_MESSAGES",
            "security_and_analysis": {
                "secret_scanning": {"status": "disabled"},
                "secret_scanning_push_protection": {"status": "disabled"},
            },
        }
        self.switches = dict.fromkeys(
            ("/vulnerability-alerts", "/private-vulnerability-reporting", "/immutable-releases"),
            False,
        )
        self.workflows: dict[str, str] = {}
        self.objects: dict[str, dict[str, Any]] = {
            "/actions/permissions": {
                "enabled": True,
                "allowed_actions": "all",
                "sha_pinning_required": False,
            },
            "/actions/permissions/workflow": {
                "default_workflow_permissions": "write",
                "can_approve_pull_request_reviews": False,
            },
        }
        self.environments: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, dict[int, str]] = {}
        self.rulesets: dict[int, dict[str, Any]] = {}
        self.secrets: set[str] = set()
        self.changes: list[str] = []
        self.routes = {
            "GET (?:/orgs/octo-org|/user)": self._get_owner,
            "GET /users/([^/]+)": self._get_person,
            "GET ": lambda _: (200, self._describe()),
            "PATCH ": self._change_repository,
            f"(?:GET|PUT) ({'|'.join(self.switches)})": self._switch,
            "GET /actions/workflows": self._list_workflows,
            "PUT /actions/workflows/(\\d+)/enable": self._enable_workflow,
            "(?:GET|PUT) (/actions/permissions(?:/workflow)?)": self._object,
            f"GET {ENVIRONMENT}": self._get_environment,
            f"PUT {ENVIRONMENT}": self._put_environment,
            f"(?:GET|POST) {ENVIRONMENT}/deployment-branch-policies": self._tags,
            f"DELETE {ENVIRONMENT}/deployment-branch-policies/(\\d+)": self._delete_tag,
            "(?:GET|POST) /rulesets": self._rulesets,
            r"(?:GET|PUT) /rulesets/(\d+)": self._ruleset,
            r"GET /.+/secrets/public-key": self._get_key,
            r"(?:GET|PUT) (/.+/secrets/[^/]+)": self._secret,
        }

    @property
    def _is_free(self) -> bool:
        return self.private and self.plan == "free"

    def refuse_change(self) -> Answer | None:
        """Refuse it to everybody but an administrator."""
        return None if self.admin else (403, {"message": "Must have admin rights to Repository."})

    def answer(self, request: Request) -> Answer | None:
        """Answer a request; None if it is about something else."""
        answer = super().answer(request)
        if answer and answer[0] < 300 and request.method != "GET":  # noqa: PLR2004
            self.changes.append(f"{request.method} {request.path}")
        return answer

    def _describe(self) -> dict[str, Any]:
        return self.repository | {
            "full_name": f"{self.owner}/widget",
            "owner": {"login": self.owner, "type": self.kind},
            "permissions": {"admin": self.admin},
            "visibility": "private" if self.private else "public",
        }

    def _get_owner(self, _: Request) -> Answer:
        return 200, {"login": self.owner, "plan": {"name": self.plan}}

    def _get_person(self, _: Request, login: str) -> Answer:
        return (200, {"login": login, "id": PEOPLE[login]}) if login in PEOPLE else not_found()

    def _change_repository(self, request: Request) -> Answer:
        if self.private and "security_and_analysis" in request.fields:
            return refuse("Secret scanning is not available for this repository.")
        if request.fields.keys() - self.repository.keys():
            return refuse("unknown field")
        now = self.repository | request.fields
        if not now["allow_squash_merge"] and any(
            key.startswith("squash") for key in request.fields
        ):
            return refuse("You need to allow the squash merge strategy to set its default title")
        self.repository |= request.fields
        return 200, self._describe()

    def _switch(self, request: Request, path: str) -> Answer:
        is_alerts = path == "/vulnerability-alerts"
        if self.private and path == "/private-vulnerability-reporting":
            return not_found()
        if request.method == "PUT":
            self.switches[path] = True
            return 204, None
        if is_alerts:
            return (204, None) if self.switches[path] else not_found()
        return 200, {"enabled": self.switches[path]}

    def _list_workflows(self, request: Request) -> Answer:
        every = [
            {"id": number, "path": path, "state": state}
            for number, (path, state) in enumerate(self.workflows.items())
        ]
        return 200, {"total_count": len(every), "workflows": request.choose_page(every)}

    def _enable_workflow(self, _: Request, number: str) -> Answer:
        self.workflows[[*self.workflows][int(number)]] = "active"
        return 204, None

    def _object(self, request: Request, path: str) -> Answer:
        if request.method == "GET":
            return 200, self.objects[path]
        if request.fields.keys() != self.objects[path].keys():
            return refuse("fields are missing or unknown")
        self.objects[path] = request.fields
        return 204, None

    def _get_environment(self, _: Request, name: str) -> Answer:
        if name not in self.environments:
            return not_found()
        sent = self.environments[name]
        rules: list[dict[str, Any]] = []
        if sent["wait_timer"]:
            rules.append({"type": "wait_timer", "wait_timer": sent["wait_timer"]})
        if sent["reviewers"]:
            reviewers = [
                {"type": reviewer["type"], "reviewer": {"id": reviewer["id"]}}
                for reviewer in sent["reviewers"]
            ]
            review = {"prevent_self_review": sent.get("prevent_self_review", False)}
            rules.append(review | {"type": "required_reviewers", "reviewers": reviewers})
        return 200, {
            "name": name,
            "protection_rules": rules,
            "can_admins_bypass": sent.get("can_admins_bypass", True),
            "deployment_branch_policy": sent["deployment_branch_policy"],
        }

    def _put_environment(self, request: Request, name: str) -> Answer:
        if self._is_free:
            return not_found()  # though GitHub says elsewhere what to upgrade to
        is_large = not self.private or self.plan == "enterprise"
        if request.fields.keys() - ({POLICY, *PROTECTION} if is_large else {POLICY}):
            return refuse(NO_REVIEWERS)  # even if it is what the environment has
        sent = PROTECTION | {POLICY: None} | request.fields
        if not all(isinstance(sent[key], bool) for key in SWITCHES):
            return refuse("not a boolean")
        if any(reviewer["id"] not in PEOPLE.values() for reviewer in sent["reviewers"]):
            return refuse("Could not resolve to a reviewer")
        self.environments[name] = sent
        return 200, self._get_environment(request, name)[1]

    def _tags(self, request: Request, name: str) -> Answer:
        environment = self.environments.get(name)
        if not environment or not environment["deployment_branch_policy"]:
            return not_found()
        tags = self.tags.setdefault(name, {})
        if request.method == "GET":
            listed = [{"id": number, "name": tag} for number, tag in tags.items()]
            return 200, {"total_count": len(listed), "branch_policies": listed}
        is_branch = request.fields["name"] == self.repository["default_branch"]
        kind = "branch" if is_branch else "tag"
        if request.fields["type"] != kind or request.fields["name"] in tags.values():
            return 303, {"message": "exists"}
        tags[max(tags, default=0) + 1] = request.fields["name"]
        return 200, request.fields

    def _delete_tag(self, _: Request, name: str, number: str) -> Answer:
        found = self.tags[name].pop(int(number), None)
        return (204, None) if found else not_found()

    def _rulesets(self, request: Request) -> Answer:
        if self._is_free:
            return 403, {"message": UPGRADE}
        if request.method == "GET":
            return 200, [
                {"id": key, "name": ruleset["name"]} for key, ruleset in self.rulesets.items()
            ]
        number = max(self.rulesets, default=0) + 1
        return self._put_ruleset(request, number, 201)

    def _ruleset(self, request: Request, number: str) -> Answer:
        if int(number) not in self.rulesets:
            return not_found()
        if request.method == "GET":
            return 200, self.rulesets[int(number)] | {"source_type": "Repository"}
        return self._put_ruleset(request, int(number), 200)

    def _put_ruleset(self, request: Request, number: int, status: int) -> Answer:
        sent = request.fields
        rules = {rule["type"]: rule.get("parameters") for rule in sent["rules"]}
        if rules.keys() - RULES or sent["enforcement"] not in {"active", "disabled", "evaluate"}:
            return refuse("Invalid rule")
        checks = rules[CHECKS][CHECKS] if CHECKS in rules else [{}]
        if not checks:
            return refuse(f"Invalid rule '{CHECKS}': Expected at least 1 elements, got 0")
        if any(check.keys() - {"context", "integration_id"} for check in checks):
            return refuse("Invalid check")
        roles = ROLES if self.kind == "Organization" else ROLES - {2}
        if {actor["actor_id"] for actor in sent.get("bypass_actors", [])} - roles:
            return refuse("Invalid actor")
        self.rulesets[number] = sent | {"id": number}
        return status, self.rulesets[number]

    def _get_key(self, _: Request) -> Answer:
        return 200, {"key_id": "1", "key": base64.b64encode(bytes(range(32))).decode()}

    def _secret(self, request: Request, path: str) -> Answer:
        if request.method == "GET":
            name = path.rpartition("/")[2]
            return (200, {"name": name}) if path in self.secrets else not_found()
        if request.fields["key_id"] != "1" or not base64.b64decode(
            request.fields["encrypted_value"], validate=True
        ):
            return refuse("not sealed with the key")
        self.secrets.add(path)
        return 201, {}
