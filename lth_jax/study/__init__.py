"""The study: runs the levels of all members, resumable at any instant."""
