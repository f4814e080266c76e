"""What tests of several kinds need: real Redis servers, real relevo servers, waiting."""
