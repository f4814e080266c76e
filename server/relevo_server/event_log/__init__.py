"""The log of each partition: followed once, and told to every stream that subscribed."""
