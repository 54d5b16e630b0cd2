"""Source: the study from which tickets are transferred."""

import functools
import pathlib
from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.analysis.alignment import align, places_of, rearrange
from lth_jax.analysis.transfer import Given, layer_of, place
from lth_jax.analyze.analysis import Subject
from lth_jax.errors import UserError
from lth_jax.layout import layout_of
from lth_jax.masks import Params
from lth_jax.store import tickets
from lth_jax.store.claim import MAY_DIFFER
from lth_jax.store.workdir import Workdir, WorkdirError, differing

_MOST_LAYERS = 3  # in a message
# Fields that set a study's length and its extras, not how its tickets train.
_ASIDE = "arms", "num_levels", "num_replicates", "eval_", "checkpoint_", "member_axis"


class _Alignment(NamedTuple):
    """The alignment of all replicates, axis R."""

    places: Any  # for `rearrange`
    before: np.ndarray  # cosines
    after: np.ndarray


class Source:
    """Another study, or the other replicates of the study that is analysed.

    Replicate r takes replicate r of another study, or the next replicate of its own
    study. There the last replicate takes the first.

    Raises:
      UserError: if there is no such study, or it has too few replicates.
    """

    def __init__(self, subject: Subject, root: pathlib.Path | None):
        self._subject = subject
        self._is_other = root is not None
        try:
            self._theirs = subject if root is None else Subject(Workdir(root))
        except WorkdirError as error:
            told = str(error).removeprefix("workdir: ")
            raise UserError(f"source: {told}") from None
        needed, has = (x.config.num_replicates for x in (subject, self._theirs))
        if has < needed:
            told = f"{root} has {has} replicates; must have {needed}, like the study"
            raise UserError(f"source: {told}")
        if root is None and needed < 2:
            raise UserError("source: needed, since the study has only one replicate")

    @property
    def differs(self) -> dict[str, list[object]]:
        """The source's and the study's values of fields that differ, by dotted name."""
        both = self._theirs.config, self._subject.config
        return {
            name: list(values)
            for name, values in differing(*both, (*MAY_DIFFER, *_ASIDE)).items()
        }

    def levels(self, asked: Sequence[int] | None) -> list[int]:
        """Returns the levels asked for, or all that are finished in both studies.

        Raises:
          UserError: if a level is not finished; the message says which, and where.
        """
        own, theirs = (x.levels(None, 1) for x in (self._subject, self._theirs))
        for level in self._subject.levels(asked, 1) if asked else ():
            if level not in theirs:
                where = self._theirs.workdir.root
                raise UserError(f"levels: {level} is not finished in {where}")
        return [level for level in own if level in (asked or theirs)]

    def given(self, own: Params, level: int) -> tuple[Given, dict[str, str]]:
        """Returns a level's tickets for the study's nets, axis R, and misfitting layers.

        Raises:
          UserError: if no layer fits, or the ticket file is missing or damaged.
        """
        prunable = self._subject.study.prunable
        path = self._theirs.workdir.ticket(level)
        try:
            found = tickets.load_all(path)
        except FileNotFoundError:
            told = f"{path} is gone; its study's command makes it again"
            raise UserError(f"source: {told}") from None
        weights, masks = jax.tree.map(self._paired, found)
        given, misfits = place(own, prunable, weights, masks)
        layers = {
            layer_of(path)
            for path, leaf in masks_lib.named_leaves(own)
            if prunable(path, leaf[0])
        }
        if layers <= misfits.keys():
            told = described({x: misfits[x] for x in misfits if x in layers})
            root = self._theirs.workdir.root
            raise UserError(f"source: no layer of {root} fits; {told}")
        return given, misfits

    def aligned(self, given: Given, misfits: Container[str]) -> Given:
        """Returns `given` with the source's units aligned; misfitting layers stay.

        Raises:
          UserError: if a net's layout is not known, or its units cannot be aligned.
        """

        def own(path: str, leaf: np.ndarray, places: np.ndarray) -> np.ndarray:
            if layer_of(path) in misfits:
                return leaf
            moved: np.ndarray = jax.vmap(rearrange)(leaf, places)
            return np.asarray(moved)

        def of(tree: Any) -> Any:
            places = jax.tree.leaves(self._alignment.places)
            leaves = zip(masks_lib.named_leaves(tree), places, strict=True)
            moved = [own(*named, at) for named, at in leaves]
            return jax.tree.unflatten(jax.tree.structure(tree), moved)

        return Given(of(given.masks), of(given.weights))

    @property
    def similarity(self) -> tuple[np.ndarray, np.ndarray]:
        """Cosines of the dense nets before and after alignment, float64[R] each."""
        return self._alignment.before, self._alignment.after

    @functools.cached_property
    def _alignment(self) -> _Alignment:
        """The alignment of the source's trained dense nets with the study's."""
        layout = layout_of(self._subject.study.network.module, "align")
        ours, theirs = (
            jax.device_get(x.trained_again([x.job("ticket", 0)])[0])
            for x in (self._subject, self._theirs)
        )
        by_path = (
            {path: self._paired(leaf) for path, leaf in masks_lib.named_leaves(tree)}
            for tree in (theirs.params, theirs.masks)
        )
        placed, misfits = place(ours.params, self._subject.study.prunable, *by_path)
        source = [  # 0 where layers do not fit: no effect
            np.zeros_like(leaf) if layer_of(path) in misfits else leaf
            for path, leaf in masks_lib.named_leaves(placed.weights)
        ]
        structure, found = jax.tree.structure(ours.params), []
        for at in range(self._subject.config.num_replicates):
            own = jax.tree.map(lambda x, at=at: x[at], ours.params)
            other = jax.tree.unflatten(structure, [leaf[at] for leaf in source])
            try:
                matched = align(layout, own, other)
            except ValueError as error:
                raise UserError(f"align: {error}") from None
            places = places_of(layout, own, matched.units)
            found.append((places, *np.array(matched.similarity)[[0, -1]]))
        return _Alignment(*jax.tree.map(lambda *x: np.stack(x), *found))

    def _paired(self, leaf: np.ndarray) -> np.ndarray:
        """Returns the source's replicates, in the order of the study's."""
        if not self._is_other:
            return np.roll(leaf, -1, axis=0)
        return leaf[: self._subject.config.num_replicates]


def described(misfits: dict[str, str]) -> str:
    """Lists layers that do not fit, and why; only the first few of many."""
    told = [f"{layer} ({why})" for layer, why in misfits.items()]
    more = len(told) - _MOST_LAYERS
    return ", ".join(told[:_MOST_LAYERS]) + (f", and {more} more" if more > 0 else "")
