"""`relevo console`: serves pages on which operators look into a store."""

import argparse
import asyncio
import sys
from functools import partial

from relevo_client._store.targets import is_local
from relevo_console.app import application
from relevo_console.console import Console, Options
from relevo_console.store import Store
from relevo_web.asset_files import MissingAssetsError
from relevo_web.security import LOOPBACK
from relevo_web.serving import listen, serving, until_stopped

from relevo_cli import connection
from relevo_cli.failures import OK, UsageError, reported

_PORT = 7391


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo console`."""
    parser.description = (
        "Serve pages that show a store: what near caches save, live changes, contexts and where "
        "their values came from, clients, tenants, partitions. Whoever looks signs in with the "
        "token of a principal, and sees what the Admin service shows to it."
    )
    group = parser.add_argument_group("pages")
    group.add_argument(
        "--listen",
        default=f"127.0.0.1:{_PORT}",
        metavar="HOST:PORT",
        help="where the pages are served; port 0 is a free one (default: %(default)s)",
    )
    group.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers reach the pages, besides localhost; can be repeated",
    )
    group.add_argument(
        "--behind-tls",
        action="store_true",
        help="browsers reach the pages through a proxy that speaks TLS; needed to listen beyond "
        "this host",
    )
    group.add_argument(
        "--read-only", action="store_true", help="without the pages that invalidate entries"
    )
    connection.add_options(parser)
    parser.epilog = (
        f"{parser.epilog} The token of --token-file or RELEVO_TOKEN is used for those who have not "
        "signed in, if the pages are for this host alone; else everybody signs in."
    )
    parser.set_defaults(run=_run)


@reported
def _run(options: argparse.Namespace) -> int:
    try:
        asyncio.run(_serve(options))
    except MissingAssetsError as error:
        raise UsageError(str(error)) from None
    return OK


async def _serve(options: argparse.Namespace) -> None:
    host, port = _address(options.listen)
    is_private = host in LOOPBACK
    if not (is_private or options.behind_tls):
        raise UsageError(
            f"--listen: tokens would travel unencrypted to {host}: put a proxy with TLS in front, "
            "and say --behind-tls"
        )
    target, credentials = connection.target_of(options), connection.credentials_of(options)
    connection.must_be_protected(options, target)
    async with Store(target, credentials, options.timeout) as store:
        console = Console(store, _options(options, host, target, is_private=is_private))
        app = application(console)
        async with serving(app, listen(host, port), at_end=console.streams.end) as url:
            print(f"The console of {target} is at {url}", flush=True)
            _say_who_signs_in(options, is_private=is_private)
            await until_stopped()


def _options(options: argparse.Namespace, host: str, target: str, *, is_private: bool) -> Options:
    is_protected = connection.has_tls(options) or is_local(target) or options.insecure_token
    return Options(
        own_token=partial(connection.token_of, options) if is_private else lambda: None,
        is_read_only=options.read_only,
        hosts=[*options.host, host],
        has_secure_cookies=options.behind_tls,
        refuses_tokens=""
        if is_protected
        else f"This console reaches {target} without TLS, so a token would travel unencrypted. "
        "It has to be started with --tls or --ca.",
    )


def _say_who_signs_in(options: argparse.Namespace, *, is_private: bool) -> None:
    if not connection.token_of(options):
        return
    text = (
        "whoever can open it on this host uses the console's own token"
        if is_private
        else "the console's own token is not used: it listens beyond this host, so everybody "
        "signs in"
    )
    print(f"relevo: {text}", file=sys.stderr, flush=True)


def _address(text: str) -> tuple[str, int]:
    """The host and the port of an address. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError("--listen: must be HOST:PORT, for example 127.0.0.1:7391")
    return host, int(port)
