"""The store's RPCs: requests, responses, errors and channels."""
