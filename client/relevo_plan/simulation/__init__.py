"""A model of servers, Redis, network and near caches, played event by event. Pure.

The same seed plays the same events. Queues are what a formula does not see: how long a call waits
behind a change that goes to ten thousand watchers, or behind clients that come back all at once.

What the model knows of the servers:

- A worker is an event loop: one queue, one thing at a time. A call is two steps of it, before and
  after Redis; a change for n watchers is n messages in a row.
- Each worker follows each partition's log: it is told of an event, reads it, reads the value if it
  has watchers, and sends. Events that come meanwhile are read together.
- Redis is one more queue for each node; partitions are spread over nodes.
- The CPU that a step takes varies (`variation`). Signs of life are a steady load.

What it does not know: garbage collection, other programs, TLS, flow control, Python's threads.
"""
