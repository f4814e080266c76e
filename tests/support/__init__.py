"""Support for tests of several kinds: real Redis servers, real relevo servers, waiting."""
