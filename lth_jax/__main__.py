"""`python -m lth_jax` runs a study, as `python -m lth_jax.main` does."""

from lth_jax.main import run

if __name__ == "__main__":
    run()
