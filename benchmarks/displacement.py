"""How far a picture lies from where it was, to hundredths of a pixel."""

import numpy as np


def shift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(x, y) in pixels from one picture (h, w, 3) to another: the slope of the phase between their
    spectra, where both have power (phase correlation, fitted instead of searched)."""
    high, wide = before.shape[:2]
    hann = np.hanning(high)[:, None] * np.hanning(wide)
    first, second = (np.fft.fft2((p.mean(2) - p.mean()) * hann) for p in (before, after))
    across = np.broadcast_to(np.fft.fftfreq(wide), (high, wide)).ravel()
    down = np.broadcast_to(np.fft.fftfreq(high)[:, None], (high, wide)).ravel()
    cross = (first * second.conj()).ravel()
    weight = np.abs(cross)
    slopes = 2 * np.pi * np.stack([across, down], 1) * weight[:, None]
    return np.linalg.lstsq(slopes, np.angle(cross) * weight, rcond=None)[0]


def displaced(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """The largest shift along an axis in pixels, and the largest change of scale."""
    high, wide = before.shape[0] // 2, before.shape[1] // 2
    halves = [np.s_[:, :wide], np.s_[:, -wide:], np.s_[:high], np.s_[-high:]]
    west, east, north, south = (shift(before[half], after[half]) for half in halves)
    across = (east - west)[0] / (before.shape[1] - wide)
    down = (south - north)[1] / (before.shape[0] - high)
    return float(np.abs(shift(before, after)).max()), max(abs(across), abs(down))
