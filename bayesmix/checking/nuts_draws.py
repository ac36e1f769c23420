"""What came out of NUTS: draws of (π, θ) in chains, in the frame of the fit like all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Booleans
from bayesmix.sampling.gibbs.by_chain import DrawsInChains
from bayesmix.sampling.gibbs.inference_data import ToArviz, inference_data_of_nuts


@dataclass(frozen=True, repr=False, eq=False)
class NutsDraws(DrawsInChains, ToArviz):
    """Draws from p(π, θ | X) by the no-U-turn sampler, assignments summed out; see ``nuts``.

    Arrays begin with (C, S): chains and draws. Labels of components mean nothing across chains.

    Attributes
    ----------
    result : FitResult
        The variational fit whose model this is, and from which chains began.
    source : Source
        The rows, not copied.
    draws : Draws
        All C S draws in the frame of the fit, chain after chain.
    log_likelihood : array (C, S)
        log p(X | π, θ) in nats and data units.
    log_joint : array (C, S)
        The same plus log p(π, θ), a density over the coordinates of the fit's frame; a learned
        scale of the prior is integrated out.
    diverging : array (C, S) of bool
        Where the sampler could not follow the density: more than a few, and a part of the posterior
        was not reached.
    warmup : int
        Draws of every chain that were left out, in which the sampler adapted.
    sampler : {"nutpie", "pymc"}
    status : {"finished", "interrupted"}
    seed : int
    seconds : float
        Of sampling; ``compile_seconds`` come before.
    compile_seconds : float
    """

    diverging: Booleans
    warmup: int
    sampler: str
    status: str
    seed: int
    seconds: float
    compile_seconds: float

    def to_arviz(self) -> Any:
        """The draws as ArviZ has them, with observed data and the prior; needs ArviZ."""
        return inference_data_of_nuts(self)

    def __repr__(self) -> str:
        n_divergent = int(np.count_nonzero(self.diverging))
        return (
            f"<NutsDraws: {self.n_chains} x {self.n_draws} draws by {self.sampler}, "
            f"{n_divergent} divergent>"
        )
