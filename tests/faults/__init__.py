"""Faults: what happens to studies, files, disks and settings, and what comes of it."""
