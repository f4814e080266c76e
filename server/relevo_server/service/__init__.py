"""The ContextStore service: who may call, and what each method does."""
