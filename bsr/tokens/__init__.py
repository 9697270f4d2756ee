"""The one door to the data: what an estimator may ask of n token sequences, wherever they are.

Arrays, memory maps, dask arrays and tensors on a GPU need no wrapping: estimators do it themselves. The kinds here are
for more: files larger than memory, options, and views that change tokens without touching them. `whiten` finds such a
view in the data.
"""

from bsr.tokens._array import ArrayTokens
from bsr.tokens._dask import DaskTokens
from bsr.tokens._file import FileTokens
from bsr.tokens._open import as_tokens
from bsr.tokens._tokens import Tokens
from bsr.tokens._torch import TorchTokens
from bsr.tokens._views import Centred, Whitened
from bsr.tokens._whiten import MisfitWarning, Whitening, whiten

__all__ = [
    "ArrayTokens",
    "Centred",
    "DaskTokens",
    "FileTokens",
    "MisfitWarning",
    "Tokens",
    "TorchTokens",
    "Whitened",
    "Whitening",
    "as_tokens",
    "whiten",
]
