"""Colours that colour-blind readers tell apart, and text that is legible."""

import numpy as np
import pytest

from fastembed.plotting.figure import LIGHT, THEMES
from fastembed.plotting.layout import spread_colours

# Machado, Oliveira and Fernandes, 2009: what colours look like without one kind of cone, of linear RGB
BLIND = {
    "nothing": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(axis=1)


def linear(colour):
    parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The contrast of two colours, as the Web Content Accessibility Guidelines define it."""
    low, high = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(colour, blindness):
    x, y, z = np.cbrt(np.maximum(XYZ @ np.clip(np.array(BLIND[blindness]) @ linear(colour), 0, 1) / WHITE, 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("blindness", BLIND)
@pytest.mark.parametrize("name", ["light", "dark"])
def test_colours_are_told_apart(name, blindness):
    """A difference of 2.3 is just noticeable."""
    dots = [lab(colour, blindness) for colour in THEMES[name]["dots"]]
    distances = [np.linalg.norm(a - b) for k, a in enumerate(dots) for b in dots[:k]]
    assert min(distances) > 10


@pytest.mark.parametrize("name", ["light", "dark"])
def test_names_are_legible_and_dots_are_seen(name):
    colours = THEMES[name]
    for text in (*colours["names"], colours["ink"]):
        assert contrast(text, colours["paper"]) >= 4.5
    assert min(contrast(dot, colours["paper"]) for dot in colours["dots"]) > 2


def test_clusters_of_one_colour_are_far_apart():
    rng = np.random.default_rng(0)
    middles = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), axis=2).reshape(-1, 2)
    labels = np.repeat(np.arange(25), 4)
    colours = spread_colours(labels, middles[labels] + rng.normal(size=(100, 2)) / 100)
    assert set(colours.tolist()) == set(range(len(LIGHT["dots"])))
    apart = np.linalg.norm(middles[:, None] - middles, axis=2)
    same = (colours[:, None] == colours) & ~np.eye(25, dtype=bool)
    assert apart[same].min() > 1.3
