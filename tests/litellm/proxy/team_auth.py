"""Attributes a call to a team from its bearer token, without a database."""

import os

from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth

TEAMS = {
    "sk-northwind-support": ("northwind", "support", "ana"),
    "sk-northwind-eng": ("northwind", "engineering", "ben@example.com"),
    "sk-contoso-clinic": ("contoso-health", "clinic", "cid"),
    "sk-contoso-labs": ("contoso-health", "labs", "dee"),
}


async def user_api_key_auth(request, api_key):
    if api_key == os.environ["LITELLM_MASTER_KEY"]:
        return UserAPIKeyAuth(api_key=api_key, user_role=LitellmUserRoles.PROXY_ADMIN)
    if api_key not in TEAMS:
        raise Exception("unknown key")
    org, team, user = TEAMS[api_key]
    return UserAPIKeyAuth(api_key=api_key, org_id=org, team_id=team, user_id=user)
