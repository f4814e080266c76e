"""The client's logger. Context values, tokens and texts of users' exceptions never reach it."""

import logging

log = logging.getLogger("relevo_client")
