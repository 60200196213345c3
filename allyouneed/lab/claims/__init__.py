"""The claims, a file each (or a file for those of one paper's section). `CLAIMS` holds them by name."""

from allyouneed.errors import UserError
from allyouneed.lab.claim import Claim
from allyouneed.lab.claims import (
    coherence,
    complexity,
    crossover,
    depth,
    exchange,
    hashing,
    heads,
    lambdas,
    masking,
    norms,
    order,
    permutation,
    places,
    resolution,
    rivals,
    scale,
    sharing,
    sinusoids,
    small_data,
    stems,
    structures,
    training,
)  # fmt: skip

_ALL = (
    scale, permutation, sinusoids, heads, norms, complexity, training, rivals, order, depth, exchange, hashing,
    sharing, coherence, masking, small_data, places, crossover, resolution, stems, structures, lambdas,
)  # fmt: skip
CLAIMS: dict[str, Claim] = {module.CLAIM.name: module.CLAIM for module in _ALL}


def claim_named(name: str) -> Claim:
    if name not in CLAIMS:
        raise UserError(f"there is no claim called {name!r}; choose one of {', '.join(CLAIMS)} (allyouneed lab list)")
    return CLAIMS[name]
