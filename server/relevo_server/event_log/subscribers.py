"""The subscriptions of one partition, and the revisions up to which their keys have changed.

No I/O and no clock. An Invalidate of a tenant or of a scope ends any number of entries, so it is
recorded as a floor and not with each subscription.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.subscriptions import Subscription
from relevo_server.keys import Key

_ALL = ""
"""Stands for all scopes of a tenant."""


class _Tenant:
    """The streams that subscribe to a tenant's keys."""

    def __init__(self) -> None:
        self.streams: defaultdict[str, Counter[Outbox]] = defaultdict(Counter)
        """By scope, the streams with their numbers of keys."""
        self.floors: dict[str, int] = {}
        """By scope, or for all scopes, the revisions of the last floors."""


class Subscribers:
    """The subscriptions of one partition."""

    def __init__(self) -> None:
        self.resets = 0
        """The number of resets of the log."""
        self._by_key: dict[Key, dict[Outbox, Subscription]] = {}
        self._by_outbox: dict[Outbox, set[Key]] = {}
        self._by_tenant: defaultdict[str, _Tenant] = defaultdict(_Tenant)
        self._answered: dict[Outbox, int] = {}  # how many resets there were at its last answer
        self._latest: dict[Key, int] = {}  # the revisions of events, floors not included
        self._start = 0  # the revision at which the log was reset

    @property
    def keys(self) -> Mapping[Outbox, Collection[Key]]:
        """The keys that each stream subscribes to."""
        return self._by_outbox

    def of(self, key: Key) -> Mapping[Outbox, Subscription]:
        """The subscriptions to a key, by stream."""
        return self._by_key.get(key, {})

    def of_tenant(self, tenant_id: str, scope: str) -> Iterable[Collection[Outbox]]:
        """The streams that subscribe to keys of a tenant's scope, or of each scope if it is ""."""
        tenant = self._by_tenant.get(tenant_id)
        if tenant is None:
            return ()
        return list(tenant.streams.values()) if scope == _ALL else [tenant.streams.get(scope, {})]

    def get(self, outbox: Outbox, key: Key) -> Subscription | None:
        """The subscription of a stream to a key, or None."""
        streams = self._by_key.get(key)
        return streams.get(outbox) if streams else None

    def add(self, outbox: Outbox, key: Key) -> Subscription:
        """Add a subscription that there is not yet."""
        subscription = Subscription(outbox, key)
        self._by_key.setdefault(key, {})[outbox] = subscription
        self._by_outbox.setdefault(outbox, set()).add(key)
        self._by_tenant[key.tenant_id].streams[key.scope][outbox] += 1
        return subscription

    def remove(self, outbox: Outbox, key: Key) -> Subscription | None:
        """Remove a subscription, and return it; None if there is none."""
        subscription = self.get(outbox, key)
        if subscription is None:
            return None
        _remove(self._by_key, key, outbox)
        if key not in self._by_key:
            self._latest.pop(key, None)
        self._by_outbox[outbox].remove(key)
        if not self._by_outbox[outbox]:
            del self._by_outbox[outbox]
            self._answered.pop(outbox, None)
        self._remove_from_tenant(outbox, key)
        return subscription

    def latest(self, key: Key) -> int:
        """A revision before which the state of a key is out of date."""
        return max(self._latest.get(key, 0), self.floor(key), self._start)

    def floor(self, key: Key) -> int:
        """The revision up to which entries were ended together, with the entry of this key."""
        tenant = self._by_tenant.get(key.tenant_id)
        if tenant is None or not tenant.floors:
            return 0
        return max(tenant.floors.get(_ALL, 0), tenant.floors.get(key.scope, 0))

    def record_change(self, key: Key, revision: int) -> None:
        """Record the revision of an event about a key."""
        if key in self._by_key:
            self._latest[key] = revision

    def record_floor(self, tenant_id: str, scope: str, revision: int) -> None:
        """Record the revision of a floor."""
        if tenant_id in self._by_tenant:
            self._by_tenant[tenant_id].floors[scope] = revision

    def record_answer(self, outbox: Outbox) -> None:
        """Record that a stream was answered."""
        self._answered[outbox] = outbox.resets + self.resets

    def is_answered(self, outbox: Outbox) -> bool:
        """Whether a stream was answered since its last reset."""
        return self._answered.get(outbox) == outbox.resets + self.resets

    def reset(self, revision: int) -> None:
        """Begin anew at a revision: earlier answers and events count no more."""
        self.resets += 1
        self._start = revision
        self._latest.clear()
        for tenant in self._by_tenant.values():
            tenant.floors.clear()

    def _remove_from_tenant(self, outbox: Outbox, key: Key) -> None:
        tenant = self._by_tenant[key.tenant_id]
        streams = tenant.streams[key.scope]
        streams[outbox] -= 1
        if not streams[outbox]:
            del streams[outbox]
        if not streams:
            del tenant.streams[key.scope]
        if not tenant.streams:
            del self._by_tenant[key.tenant_id]


def _remove(by_key: dict[Key, dict[Outbox, Subscription]], key: Key, outbox: Outbox) -> None:
    streams = by_key[key]
    del streams[outbox]
    if not streams:
        del by_key[key]
