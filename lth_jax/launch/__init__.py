"""Launch: runs the studies of a sweep as jobs of Parsl."""
