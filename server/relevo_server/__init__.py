"""The ContextStore server of Relevo and the `relevo` command."""
