"""Table: what a package's manifest says, in few lines."""

from collections.abc import Mapping
from typing import Any

_COUNTS = {
    "num_params": "params",
    "multiply_adds": "multiply-adds",
    "num_bytes": "bytes",
}


def table(manifest: Mapping[str, Any]) -> str:
    """Dense, masked and compact net, a line a measure; then the files."""
    metric = next(key for key in manifest if key.startswith("test_"))
    costs, accuracy = manifest["costs"], manifest[metric]
    rows = [["", "dense", "masked", "compact"]]
    for key, words in _COUNTS.items():
        rows.append([words, *(f"{costs[net][key]:,}" for net in rows[0][1:])])
    measured = [f"{accuracy[net]:.4f}" for net in ("masked", "compact")]
    rows.append([metric.replace("_", " "), "", *measured])
    for batch, seconds in manifest["median_seconds"].items():
        dense, compact = (f"{1e6 * seconds[net]:,.0f}" for net in ("dense", "compact"))
        rows.append([f"us, {batch.replace('_', ' of ')}", dense, "", compact])
    lines = [f"{first:<19}" + "".join(f"{c:>14}" for c in rest) for first, *rest in rows]
    difference = accuracy["largest_difference_of_logits"]
    lines.append(f"largest difference of logits {difference:.1e}")
    for name, file in manifest["files"].items():
        lines.append(f"{name:<19}{file['bytes']:>14,} bytes")
    return "\n".join(lines)
