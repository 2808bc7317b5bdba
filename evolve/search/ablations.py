"""HGM with parts of it left out, to see what each is worth in the simulated world."""

from __future__ import annotations

from evolve.search.hgm import Hgm

ABLATIONS = {
    "hgm_own": "evolve.search.ablations:Own",
    "hgm_pooled": "evolve.search.ablations:Pooled",
    "hgm_alpha6": "evolve.search.ablations:Alpha6",
}


class Own(Hgm):
    """Cases one by one; no clades, and no temperature that rises as the budget ends."""

    pooled = False
    tempered = False


class Pooled(Hgm):
    """Judged by its clade, with no temperature that rises as the budget ends."""

    tempered = False


class Alpha6(Hgm):
    """The paper's alpha: fewer variants, each of them evaluated more."""

    alpha = 0.6
