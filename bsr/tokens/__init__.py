"""The one door to the data: what an estimator may ask of n token sequences, wherever they are.

Arrays, memory maps and dask arrays need no wrapping: estimators do it themselves. The kinds here are for more: files
larger than memory, options, and views that change tokens without touching them; `whiten` finds one from the data.
"""

from bsr.tokens._array import ArrayTokens
from bsr.tokens._dask import DaskTokens
from bsr.tokens._file import FileTokens
from bsr.tokens._open import as_tokens
from bsr.tokens._tokens import Tokens
from bsr.tokens._views import Centred, Whitened
from bsr.tokens._whiten import MisfitWarning, Whitening, whiten

__all__ = [
    "ArrayTokens",
    "Centred",
    "DaskTokens",
    "FileTokens",
    "MisfitWarning",
    "Tokens",
    "Whitened",
    "Whitening",
    "as_tokens",
    "whiten",
]
