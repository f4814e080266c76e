"""The client's log. Context values, tokens and what users' functions raise with never reach it."""

import logging

log = logging.getLogger("relevo_client")
