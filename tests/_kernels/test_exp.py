"""The exponential of the kernels: its error over the whole domain, and its values at the ends."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastembed._kernels import kernels_for, runnable_builds

LOWEST = {"float32": -87.0, "float64": -708.0}
LARGEST_ERROR = {"float32": 2.5e-7, "float64": 1e-15}
CUT_OFF = {"float32": -87.33655, "float64": -708.39642}  # just below the logarithm of the smallest normal number
SAMPLE = 1_000_003  # no multiple of the 256 that a kernel takes at once


def exp(kernels, x):
    out = np.full_like(x, 7)
    kernels.exp_array(x, out)
    return out


def relative_error(computed, x):
    exact = np.exp(x.astype(np.longdouble if x.dtype == np.float64 else np.float64))
    return float(np.abs(computed / exact - 1).max())


def dense_sample(dtype):
    return np.linspace(LOWEST[dtype], 0, SAMPLE)


def where_the_reduction_changes(dtype):
    """Around half multiples of ln 2, where n goes to the next integer and |r| is largest."""
    halves = (-np.arange(int(-LOWEST[dtype] / np.log(2)) * 2) * np.log(2) / 2).astype(dtype)
    return (halves[:, None].view(f"i{halves.itemsize}") + np.arange(-200, 200)).view(dtype).ravel()


def near_zero(dtype):
    return -np.logspace(-320 if dtype == "float64" else -44, 0, 100_001)


def just_above_the_cut_off(dtype):
    return np.linspace(CUT_OFF[dtype] + 1e-4, LOWEST[dtype], 1001)


@pytest.mark.parametrize("sample", [dense_sample, where_the_reduction_changes, near_zero, just_above_the_cut_off])
def test_the_error_is_within_its_bound(kernels, sample):
    x = sample(kernels.dtype).astype(kernels.dtype)
    x = x[x <= 0]
    out = exp(kernels, x)
    assert len(x) > 1000
    assert (out >= np.finfo(kernels.dtype).tiny).all()
    assert relative_error(out, x) <= LARGEST_ERROR[kernels.dtype]


@pytest.mark.slow
def test_the_error_of_every_float_is_within_its_bound():
    """All 1.1 billion floats of [-87, 0], on all builds, in pieces that stay in the L2 cache."""
    builds = {build: kernels_for("float32", build) for build in runnable_builds()}
    piece, end = 1 << 17, int(np.float32(87).view(np.int32)) + 1

    def errors(first):
        bits = np.arange(first, min(first + piece, end), dtype=np.uint32) | np.uint32(1 << 31)
        x = bits.view(np.float32)
        # Closer to 0 than 2^-40, exp(x) is 1 in float64 to 1e-12
        inverse = None if x[-1] > -(2.0**-40) else np.exp(-x.astype(np.float64))
        found = []
        for kernels in builds.values():
            out = exp(kernels, x) if inverse is None else exp(kernels, x) * inverse
            found.append(max(abs(float(out.min()) - 1), abs(float(out.max()) - 1)))
        return x[-1], len(x), found

    with ThreadPoolExecutor() as pool:
        last, lengths, found = zip(*pool.map(errors, range(0, end, piece)), strict=True)
    assert last[-1] == -87
    assert sum(lengths) == end
    largest = dict(zip(builds, np.max(found, axis=0), strict=True))
    assert max(largest.values()) <= LARGEST_ERROR["float32"], largest


def test_exp_is_zero_below_the_cut_off(kernels):
    low = CUT_OFF[kernels.dtype]
    x = np.array([low, low - 1, 2 * low, np.finfo(kernels.dtype).min, -np.inf] * 7, kernels.dtype)
    assert (exp(kernels, x) == 0).all()


@pytest.mark.parametrize("wrong", [np.nan, -np.nan])
@pytest.mark.parametrize("place", [0, 7, 100, 255, 256, 300])
def test_a_nan_of_either_sign_stays_where_it_is(kernels, place, wrong):
    x = np.full(301, -1, kernels.dtype)
    x[place] = wrong
    assert np.flatnonzero(np.isnan(exp(kernels, x))).tolist() == [place]
