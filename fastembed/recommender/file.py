"""The file of a recommender: safetensors, with memory-mapped histories."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.validation import plain
from fastembed.formats.registry import FORMATS
from fastembed.formats.tensors import header, pack_tokens, parts_of, unpack_tokens, write_tensors
from fastembed.recommender.data import Interactions, Names
from fastembed.recommender.model import FittedRecommender
from fastembed.recommender.scoring import Model

FilePath = str | os.PathLike[str]
MODEL = "model."  # what the names of the tensors of training begin with


def write_recommender(path: FilePath, parameters: dict[str, Any], fitted: FittedRecommender) -> None:
    """Write the parameters of a recommender and its fitted state."""
    if Path(path).suffix.lower() not in FORMATS["safetensors"].suffixes:
        raise ValueError(f"a recommender is a .safetensors file, got {str(path)!r}")
    seen = fitted.data.matrix
    tensors = {f"{MODEL}{name}": tensor for name, tensor in fitted.model.tensors().items()}
    tensors |= {"seen.items": seen.indices, "seen.starts": seen.indptr}
    if (seen.data != 1).any():
        tensors["seen.weights"] = seen.data
    for names, what in ((fitted.data.users.names, "users"), (fitted.data.items.names, "items")):
        tensors |= {what: names} if names.dtype.kind == "i" else pack_tokens(names.tolist(), f"{what}.tokens")
    settings = {name: value for name, value in parameters.items() if name != "threads"}
    texts = {"history": json.dumps(plain(fitted.history), ensure_ascii=False), "unweighted": fitted.data.unweighted}
    write_tensors(path, tensors, header("recommender", plain(settings)) | texts)


def read_recommender(path: FilePath) -> tuple[dict[str, Any], FittedRecommender]:
    """Return the parameters, unchecked, and the fitted state of a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not hold a recommender, or is damaged.
    """
    with parts_of(path, "recommender", "a recommender that fits") as (tensors, settings, metadata):
        users, items = _names("user", tensors), _names("item", tensors)
        indices, starts = tensors["seen.items"], tensors["seen.starts"]
        weights = tensors.get("seen.weights", np.ones(len(indices), np.float32))
        seen: Any = sparse.csr_array((weights, indices, starts), shape=(len(users), len(items)))
        model = Model.from_tensors({k.removeprefix(MODEL): v for k, v in tensors.items() if k.startswith(MODEL)})
        if not (len(items),) == model.bias.shape == model.linear.shape[1:]:
            raise ValueError(f"{len(items)} items, but a model of {model.linear.shape[-1]}")
        for matrix in (seen, model.similar):
            matrix.check_format(full_check=True)  # their columns are indices in kernels
        data = Interactions(seen, users, items, metadata.get("unweighted", ""))
        return settings, FittedRecommender(model, data, json.loads(metadata["history"]))


def _names(what: str, tensors: Mapping[str, NDArray[Any]]) -> Names:
    if f"{what}s" in tensors:
        return Names(what, np.array(tensors[f"{what}s"]))
    return Names(what, np.array(unpack_tokens(tensors, f"{what}s.tokens"), object))
