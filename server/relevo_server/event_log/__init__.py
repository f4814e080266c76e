"""Follows the log of each partition once, and sends its events to every subscribed stream."""
