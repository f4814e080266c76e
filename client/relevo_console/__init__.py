"""The console: pages on which operators look into a store, and keep looking.

It stands on the Admin service alone, and asks with the token of whoever looks. So everybody sees
what the store lets them see, and no value that the store redacts.
"""
