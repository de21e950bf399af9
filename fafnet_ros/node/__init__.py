"""The node's wiring: its states and parameters, and what it does with frames while it is active."""
