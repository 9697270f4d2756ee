"""What the limit n, d, L, r -> infinity predicts."""

from bsr.theory import bayes, limits, ridge

__all__ = ["bayes", "limits", "ridge"]
