"""The planner of a cluster: a calculator and a simulation, on measured constants. Pure."""
