"""A third-party package of steps: what somebody outside writes to extend Loresmith."""
