"""What stands in for services: processes that use Relevo as a service does."""
