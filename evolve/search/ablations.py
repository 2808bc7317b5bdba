"""HGM without some of its parts, to measure the effect of each by simulation."""

from __future__ import annotations

from evolve.search.hgm import Hgm

ABLATIONS = {
    "hgm_own": "evolve.search.ablations:Own",
    "hgm_pooled": "evolve.search.ablations:Pooled",
    "hgm_alpha6": "evolve.search.ablations:Alpha6",
}


class Own(Hgm):
    """Draws from each variant's own cases: no clades and no rising temperature."""

    pooled = False
    tempered = False


class Pooled(Hgm):
    """Draws from clades, without a temperature that rises as the budget ends."""

    tempered = False


class Alpha6(Hgm):
    """The alpha of the paper: fewer variants, each with more evaluations."""

    alpha = 0.6
