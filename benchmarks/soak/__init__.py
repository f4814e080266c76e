"""`make soak`: checks that the resources of a store and its clients do not grow over time."""
