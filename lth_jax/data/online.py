"""Online: whether an address can be reached, told within seconds."""

import threading

from lth_jax.data.source import DataError

_WITHIN_SECONDS = 4.0


def check_online(url: str) -> None:
    """Fails within seconds where TFDS would retry for minutes.

    Raises:
      DataError: naming the remedies, if the address cannot be reached.
    """
    import requests

    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            requests.head(url, timeout=_WITHIN_SECONDS)
            answer.append(None)
        except requests.RequestException as error:
            answer.append(error)

    # A thread that may be left behind: a name server that does not answer outlasts
    # requests' time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_WITHIN_SECONDS)
    if not answer or answer[0] is not None:
        reason = type(answer[0]).__name__ if answer else "no answer"
        raise DataError(
            f"cannot reach {url} ({reason}), and the data set is not prepared. Either go"
            " online, or give the folder of the raw files with"
            " --config.data.raw_dir, or copy a prepared data set to the TFDS data folder"
            " (the TFDS_DATA_DIR environment variable, else ~/tensorflow_datasets)"
        )
