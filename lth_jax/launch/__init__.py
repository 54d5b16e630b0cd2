"""Launch: studies of a sweep as jobs of an existing engine, Parsl."""
