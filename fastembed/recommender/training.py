"""Training of a recommender, from the items of users to the arrays that score all items for any user.

W is trained with one row of E per user; then E is thrown away, so that a user in the data and a new one with the same
items have the same row (`model.py`). B is learned beside it, and how much each of the two counts is chosen by hidden
items of users who are kept away from a first training (`strengths.py`).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from fastembed._base.memory import check_free
from fastembed._base.validation import number_of, warn_user
from fastembed.recommender.data import Interactions
from fastembed.recommender.model import EXPONENT, FittedRecommender, Model, counted, totals_of
from fastembed.recommender.options import RecommenderOptions
from fastembed.recommender.start import first_model, newton_rows
from fastembed.recommender.strengths import MOST_PAIRS, hiding, item_to_item, most_hiding, select
from fastembed.trainer.data import FitOptions, check_data
from fastembed.trainer.fit import train
from fastembed.trainer.parameters import check_parameters
from fastembed.trainer.run import Record, Run

RATE, LINEAR_RATE, L2, LINEAR_L2 = 1.0, 1.0, 0.3, 0.4
BLOCK = 256
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 160, 3, 10  # blocks in all epochs together; users who are many need fewer epochs
# The largest number of scores in all epochs together: per entry, or in any case; there is always one epoch
PER_ENTRY, FREE_SCORES = 1400, 1 << 26
NEGLIGIBLE = 0.01  # share of users with hidden items below which nothing is trained again with them
FIXED_BYTES = 24 << 20  # which small data takes, too


class Sizes(NamedTuple):
    """What `FitProgress` is told of a training."""

    users: int
    items: int
    entries: int
    epochs: int

    def __str__(self) -> str:
        return f"{number_of(self.users, 'user')}, {number_of(self.items, 'item')}, {self.entries:,} entries"


def fitted(data: Interactions, options: RecommenderOptions, run: Run) -> FittedRecommender:
    """Return the model of users with items.

    Raises
    ------
    MemoryError
        If training needs more memory than is free.
    """
    x, (users, items) = data.matrix, data.matrix.shape
    sizes = np.diff(x.indptr).astype(float)
    if sizes.max() < 2:
        warn_user("no user has two items: nothing but the popularity of items can be learned")
    memory = needed(x.shape, x.nnz, float(sizes @ sizes), options.dim)
    check_free(memory, f"training {users:,} users of {items:,} items", "a smaller dim takes less")
    if run.progress is not None:
        run.progress.training(Sizes(users, items, x.nnz, options.epochs or epochs_for(x.shape, x.nnz)))
    model, history = learned(x, options, run)
    return FittedRecommender(model, data, history, asdict(options))


def epochs_for(shape: tuple[int, int], entries: int) -> int:
    """Return the default number of epochs: more if an epoch has few steps, fewer if there are few entries."""
    users, items = shape
    most = max(1, max(PER_ENTRY * entries, FREE_SCORES) // (users * items))
    return int(min(most, np.clip(-(-STEPS // -(-users // BLOCK)), FEWEST_EPOCHS, MOST_EPOCHS)))


def needed(shape: tuple[int, int], entries: int, pairs: float, dim: int) -> int:
    """Return the bytes that training needs, within 30 %; `pairs` is the sum of the users' numbers of pairs of items.

    Users have pairs in common, more of them than pairs drawn at random: few items are popular.
    """
    users, items = shape
    different = -0.65 * items**2 * np.expm1(-pairs / items**2)
    pair_bytes, strength_bytes = 8 * min(different, MOST_PAIRS), 18 * most_hiding(users, items) * items
    return int(FIXED_BYTES + 36 * entries + 8 * dim * (users + 2 * items) + pair_bytes + strength_bytes)


def learned(x: Any, options: RecommenderOptions, run: Run) -> tuple[Model, list[Record]]:
    """Return the model of users with the items x, and a record per epoch.

    Parameters
    ----------
    x : csr_array (U, V), float32
        Positive weights, at least one. Users and items without any are allowed.
    options : RecommenderOptions
    run : Run
        Its callback is called in the training with all users.
    """
    n = counted(x, weight := float(np.median(x.data)))
    if not n.data.all():  # weights of 6e-8 of the median and less
        n = n.copy()
        n.eliminate_zeros()
    options = replace(options, epochs=options.epochs or epochs_for(n.shape, n.nnz))
    kept_away = hiding(n, options.seed)
    if kept_away is None:  # strengths that follow from a few items would be anything
        model, records = _trained(n, weight, options, run)
        return replace(model, similar=item_to_item(n, 0.0, run.pool)), records
    shown, seen, hidden = kept_away
    twice = hidden.shape[0] > NEGLIGIBLE * n.shape[0]
    model, records = _trained(shown, weight, options, replace(run, progress=None, on_epoch_end=None) if twice else run)
    model = replace(model, similar=item_to_item(shown, 0.0, run.pool, few=twice))
    strengths, ease, shares = select(model, shown, seen, hidden, run.pool)
    if twice:
        model, records = _trained(n, weight, options, run)
    if twice or ease:
        model = replace(model, similar=item_to_item(n, ease, run.pool))
    return replace(model, **strengths), [*records[:-1], records[-1] | shares]


def _trained(n: Any, weight: float, options: RecommenderOptions, run: Run) -> tuple[Model, list[Record]]:
    """Return the model of the counts n without B, and the records."""
    model, epochs = first_model(n, weight, options, run.pool), options.epochs or 1
    parameters = check_parameters(newton_rows(n, model, run.pool), model.linear, model.bias)
    data = replace(check_data(parameters, n, None, run.pool), input_weights=totals_of(n) ** (1 - EXPONENT))
    fit_options = FitOptions(
        epochs=epochs,
        learning_rate=RATE if epochs > 1 else 0,  # each row is used once then, before its step
        linear_learning_rate=LINEAR_RATE,
        block_size=BLOCK,
        l2=L2,
        linear_l2=LINEAR_L2,
        seed=options.seed,
    )
    records = train(parameters, data, fit_options, run)
    return replace(model, linear=np.asfortranarray(parameters.linear)), records
