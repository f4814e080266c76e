"""`make peers`: Get and Put of Relevo beside Dapr's state API on Redis, and beside etcd.

All are called by the same load generator, and each has the same core for itself while it is called.
"""
