"""Stand-ins for services that use Relevo, and for other implementations of clients."""
