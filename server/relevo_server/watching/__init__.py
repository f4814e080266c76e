"""Watch: the log of each partition, read once, and told to every stream that subscribed."""
