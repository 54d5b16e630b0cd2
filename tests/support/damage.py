"""Damage: what may happen to a file."""


def flip_a_byte(path):
    """Flips one bit of the largest data file."""
    victim = max(
        (p for p in path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    return victim
