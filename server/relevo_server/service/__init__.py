"""The ContextStore service: who may call, and what each RPC does."""
