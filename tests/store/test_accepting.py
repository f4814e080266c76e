"""How a server takes calls from gRPC that come together."""

from grpc_health.v1 import health_pb2
from relevo_server.service.accepting import AT_ONCE
from support.python_process import python_process

NOT_FOUND = "5"


def test_what_comes_while_the_loop_is_busy() -> None:
    """Calls of a method that come while the loop is busy are handed over together."""
    # Who took the call before may not have asked for another one yet.
    most = AT_ONCE - 1
    with python_process("support.servers.handed_over", str(most)) as counting:
        assert counting.wait(60) == 0
        [[handed_over, statuses]] = counting.lines
    assert handed_over >= most
    assert statuses == [NOT_FOUND]


def test_a_loop_that_ends_before_its_server() -> None:
    """A loop that cancels its tasks frees no memory into which core will still write a call.

    Core was asked for many calls of the method that is frequent, and for one of each other method.
    """
    with python_process("support.servers.loop_end") as ending:
        assert ending.wait(60) == 0
        [[before, after]] = ending.lines
    others = len(health_pb2.DESCRIPTOR.services_by_name["Health"].methods) - 1
    unknown = 1
    assert before == after == AT_ONCE + others + unknown
