"""Store: a workdir's files; no other package reads or writes a study's files."""
