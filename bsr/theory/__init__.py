"""What the limit n, d, L, r -> infinity predicts."""

from bsr.theory import bayes, limits, nuclear_norm, ridge

__all__ = ["bayes", "limits", "nuclear_norm", "ridge"]
