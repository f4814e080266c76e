"""`make soak`: whether a store and its clients stay as they are, however long they run."""
