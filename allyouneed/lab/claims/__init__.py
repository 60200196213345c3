"""The claims, a file each (or a file for those of one paper's section). `CLAIMS` holds them by name."""

from allyouneed.errors import UserError
from allyouneed.lab.claim import Claim
from allyouneed.lab.claims import complexity, norms, permutation, scale, sinusoids

CLAIMS: dict[str, Claim] = {
    claim.name: claim for claim in (scale.CLAIM, permutation.CLAIM, sinusoids.CLAIM, norms.CLAIM, complexity.CLAIM)
}


def claim_named(name: str) -> Claim:
    if name not in CLAIMS:
        raise UserError(f"there is no claim called {name!r}; choose one of {', '.join(CLAIMS)} (allyouneed lab list)")
    return CLAIMS[name]
