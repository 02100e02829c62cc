"""Feast's actions that permissions are about."""

from __future__ import annotations

from enum import Enum

__all__ = ["ALL_ACTIONS", "READ", "WRITE", "AuthzedAction"]


class AuthzedAction(Enum):
    """What somebody may do."""

    CREATE = "create"
    DESCRIBE = "describe"
    UPDATE = "update"
    DELETE = "delete"
    READ_ONLINE = "read_online"
    READ_OFFLINE = "read_offline"
    WRITE_ONLINE = "write_online"
    WRITE_OFFLINE = "write_offline"


ALL_ACTIONS = list(AuthzedAction)
READ = [AuthzedAction.READ_ONLINE, AuthzedAction.READ_OFFLINE]
WRITE = [AuthzedAction.WRITE_ONLINE, AuthzedAction.WRITE_OFFLINE]
