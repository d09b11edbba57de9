"""How the loopback Slack gives tokens out: for a code, and, where they expire, for a refresh token, once."""

from __future__ import annotations

from uuid import uuid4

from bot.testing.slack.limits import ApiError
from bot.testing.slack.state import Json, Workspace


class Installing:
    """`workspaces` are by token. With `expires_in_seconds`, tokens expire and come with a refresh token."""

    def __init__(self, workspaces: dict[str, Workspace]) -> None:
        self.codes: dict[str, Workspace] = {}
        self.expires_in_seconds: int | None = None
        self.renewals = 0
        self._workspaces = workspaces
        self._refresh_tokens: dict[str, Workspace] = {}

    def access(self, arguments: Json) -> Json:
        """oauth.v2.access. Raises ApiError."""
        if arguments.get("grant_type") == "refresh_token":
            return self._renew(str(arguments.get("refresh_token")))
        workspace = self.codes.pop(arguments.get("code", ""), None)
        if workspace is None:
            raise ApiError("invalid_code")
        self._workspaces[workspace.bot_token] = workspace
        return self._describe(workspace)

    def _renew(self, refresh_token: str) -> Json:
        workspace = self._refresh_tokens.pop(refresh_token, None)
        if workspace is None:
            raise ApiError("invalid_refresh_token")
        self.renewals += 1
        workspace.bot_token = f"xoxe.xoxb-{workspace.team_id}-{self.renewals}"
        self._workspaces[workspace.bot_token] = workspace
        return self._describe(workspace)

    def _describe(self, workspace: Workspace) -> Json:
        answer: Json = {
            "ok": True,
            "app_id": "A0LOOPBACK",
            "access_token": workspace.bot_token,
            "token_type": "bot",
            "scope": "chat:write",
            "bot_user_id": workspace.bot_user_id,
            "team": {"id": workspace.team_id, "name": workspace.team_id},
            "enterprise": None,
            "authed_user": {"id": "U0INSTALLER"},
            "is_enterprise_install": False,
        }
        if self.expires_in_seconds is not None:
            refresh_token = f"xoxe-1-{uuid4().hex}"
            self._refresh_tokens[refresh_token] = workspace
            answer |= {"refresh_token": refresh_token, "expires_in": self.expires_in_seconds}
        return answer
