"""Ensembles of real tokens: rows of images that scikit-learn ships."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from bsr.ensembles._ensemble import Ensemble

__all__ = ["Digits", "Photograph"]


@dataclass(frozen=True)
class Digits(Ensemble):
    """Tokens are rows of pixels: images of handwritten digits side by side, until L x d pixels are filled.

    The images, 1797 of 8 x 8 pixels, are drawn with replacement. The mean image is taken off, and one scale makes the
    mean square 1. Pixels that are blank in all images are 0. Neighbours depend on each other; nothing is proved.

    References
    ----------
    Alpaydin and Kaynak, Optical recognition of handwritten digits (1998), UCI Machine Learning Repository; shipped by
    scikit-learn, the extra `learn`.
    """

    def _draw(self, shape, rng, dtype):
        n, L, d = shape
        scale = np.sqrt(np.mean(_tile(np.mean(_digits() ** 2, axis=0), L, d)))
        if scale == 0.0:
            raise ValueError(f"L and d must reach beyond the blank margin of a digit, got {L} and {d}")
        images = (_digits() / scale).astype(dtype)
        high, wide = images.shape[1:]
        chosen = rng.integers(len(images), size=(n, -(-L // high), -(-d // wide)))
        mosaic = images[chosen].transpose(0, 1, 3, 2, 4)
        return mosaic.reshape(n, high * chosen.shape[1], wide * chosen.shape[2])[:, :L, :d]


@dataclass(frozen=True)
class Photograph(Ensemble):
    """Tokens are rows of pixels: windows of L x d pixels at random places of a photograph, in grey.

    Each pixel's mean over all places is taken off, and one scale makes the mean square 1. Neighbours are almost equal,
    and windows overlap; nothing is proved.

    Parameters
    ----------
    image : {'china', 'flower'}, default 'china'
        427 x 640 pixels each: L and d must be smaller.

    Raises
    ------
    ValueError
        If there is no such image.

    References
    ----------
    Shipped by scikit-learn, the extra `learn`.
    """

    image: str = "china"

    def __post_init__(self):
        if self.image not in ("china", "flower"):
            raise ValueError(f"image must be 'china' or 'flower', got {self.image!r}")

    def _draw(self, shape, rng, dtype):
        n, L, d = shape
        image = _photograph(self.image)
        if L >= image.shape[0] or d >= image.shape[1]:
            raise ValueError(f"L and d must be below {image.shape[0]} and {image.shape[1]}, got {L} and {d}")
        mean, square = (_window_means(power, L, d) for power in (image, image**2))
        windows = np.lib.stride_tricks.sliding_window_view(image, (L, d))
        drawn = windows[rng.integers(windows.shape[0], size=n), rng.integers(windows.shape[1], size=n)]
        return ((drawn - mean) / np.sqrt(np.mean(square - mean**2))).astype(dtype)


def _tile(image, L, d):
    high, wide = image.shape
    return np.tile(image, (-(-L // high), -(-d // wide)))[:L, :d]


def _window_means(image, L, d):
    """Mean of each pixel of a window of L x d over the window's places, from sums over rectangles."""
    high, wide = image.shape[0] - L + 1, image.shape[1] - d + 1
    total = np.pad(image.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = total[high:, wide:] - total[:-high, wide:] - total[high:, :-wide] + total[:-high, :-wide]
    return sums / (high * wide)


@cache
def _digits():
    """Images of digits without their mean, (1797, 8, 8)."""
    images = _datasets().load_digits().images
    return images - images.mean(axis=0)


@cache
def _photograph(name):
    """A photograph in grey, without its mean."""
    image = _datasets().load_sample_image(f"{name}.jpg").mean(axis=2)
    return image - image.mean()


def _datasets():
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError("scikit-learn has the images: install bilinear-sequence-regression[learn]") from error
    return datasets
