"""Store: a workdir's files; nothing else touches a disk."""
