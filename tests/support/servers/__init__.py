"""Servers: of the store, of services that use it, and what stands behind them."""
