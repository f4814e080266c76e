"""What stands in for services that use Relevo, and for clients of other makes."""
