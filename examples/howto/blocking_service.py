"""A service on threads: the same, without `await`."""

from concurrent.futures import ThreadPoolExecutor

import grpc
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import Passage, SearchRequest, SearchResponse
from relevo_client import ContextClient, require_context, server_interceptor, wrap

STORE, ADDRESS = "localhost:7390", "localhost:50052"


class Search(grpc_api.QueryServiceServicer):
    """Searches the collections that the call's context names."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor()

    def Search(self, request: SearchRequest, context: grpc.ServicerContext) -> SearchResponse:
        """Search all collections at the same time. In threads, `wrap` keeps the context."""
        collections = require_context().rag_config["collections"]
        found = self._pool.map(wrap(search), collections, [request.text] * len(collections))
        return SearchResponse(passages=found)


def search(collection: str, text: str) -> Passage:
    """The best passage of a collection; a real one would ask a database."""
    tenant = require_context().tenant_id
    return Passage(collection_id=collection, text=f"{text!r} in {tenant}/{collection}")


def serve(contexts: ContextClient) -> grpc.Server:
    """Start the service."""
    server = grpc.server(
        ThreadPoolExecutor(), interceptors=[server_interceptor(contexts, trust_callers=True)]
    )
    grpc_api.add_QueryServiceServicer_to_server(Search(), server)
    server.add_insecure_port(ADDRESS)
    server.start()
    return server


def main() -> None:
    """Serve until Ctrl-C."""
    with ContextClient(STORE) as contexts:
        serve(contexts).wait_for_termination()


if __name__ == "__main__":
    main()
