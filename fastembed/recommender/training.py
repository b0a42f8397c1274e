"""Training of a recommender, from the items of users to the arrays that score all items for any user.

W is trained with one row of E per user. Then E is discarded, so that a user in the data and a new user with the same
items have the same row (`model.py`). B is computed without W (`item_to_item.py`). A first training leaves out some
users, whose hidden items choose how much W, B and popularity count (`strengths.py`).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from fastembed._base.memory import check_free
from fastembed._base.validation import number_of, warn_user
from fastembed.counts.store import grouped
from fastembed.recommender.data import Interactions
from fastembed.recommender.item_to_item import FEW_NEIGHBOURS, MOST_PAIRS, NEIGHBOURS, item_to_item
from fastembed.recommender.model import EXPONENT, FittedRecommender, Model, log_counts, totals_of
from fastembed.recommender.options import RecommenderOptions
from fastembed.recommender.start import first_model, newton_rows
from fastembed.recommender.strengths import choose_strengths, hide_items, most_hiding_users
from fastembed.trainer.data import FitData, FitOptions
from fastembed.trainer.fit import train
from fastembed.trainer.parameters import Parameters
from fastembed.trainer.run import Record, Run

SETTINGS = FitOptions(learning_rate=1.0, linear_learning_rate=1.0, block_size=256, l2=0.3, linear_l2=0.4)
# The default number of epochs makes about STEPS blocks, and is between the two other numbers
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 160, 3, 10
# All epochs together compute at most PER_ENTRY scores per entry, or FREE_SCORES if that is more; one epoch always runs
PER_ENTRY, FREE_SCORES = 1400, 1 << 26
NEGLIGIBLE = 0.01  # up to this share of users with hidden items, W stays without these users
FIXED_BYTES = 24 << 20  # memory for data of any size


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
    epochs = options.epochs or epochs_for(x.shape, x.nnz)
    if run.progress is not None:
        run.progress.training(Sizes(users, items, x.nnz, epochs))
    model, history = learned(x, options, epochs, run)
    return FittedRecommender(model, data, history, asdict(options))


def epochs_for(shape: tuple[int, int], entries: int) -> int:
    """Return the default number of epochs: more if an epoch has few steps, fewer if there are few entries."""
    users, items = shape
    most = max(1, max(PER_ENTRY * entries, FREE_SCORES) // (users * items))
    blocks = -(-users // SETTINGS.block_size)
    return int(min(most, np.clip(-(-STEPS // blocks), FEWEST_EPOCHS, MOST_EPOCHS)))


def needed(shape: tuple[int, int], entries: int, pairs: float, dim: int) -> int:
    """Return the bytes that training needs, within 30 %; `pairs` is the sum of the users' numbers of pairs of items.

    Few items are popular, so users have more pairs in common than pairs drawn at random would give.
    """
    users, items = shape
    different = -0.65 * items**2 * np.expm1(-pairs / items**2)
    pair_bytes, strength_bytes = 8 * min(different, MOST_PAIRS), 18 * most_hiding_users(users, items) * items
    return int(FIXED_BYTES + 36 * entries + 8 * dim * (users + 2 * items) + pair_bytes + strength_bytes)


def learned(x: Any, options: RecommenderOptions, epochs: int, run: Run) -> tuple[Model, list[Record]]:
    """Return the model of users with the items x, and a record per epoch.

    1. Hide items of some users. If too few items can be hidden, train with all users, and end here.
    2. Train without the users with hidden items.
    3. Choose the strengths that predict the hidden items best.
    4. Train with all users. If at most 1 % of the users have hidden items, W stays instead, and B is computed again
       only if EASE was chosen.

    Parameters
    ----------
    x : csr_array (U, V), float32
        Positive weights, at least one. Users and items without any are allowed.
    options : RecommenderOptions
    epochs : int
    run : Run
        The last training reports to it.
    """
    n = log_counts(x, weight := float(np.median(x.data)))
    if not n.data.all():  # weights of 6e-8 of the median and less
        n = n.copy()
        n.eliminate_zeros()
    split = hide_items(n, options.seed)
    if split is None:
        model, records = _low_rank(n, weight, options, epochs, run)
        return replace(model, item_to_item=item_to_item(n, run.pool)), records
    again = split.hidden.shape[0] > NEGLIGIBLE * n.shape[0]
    first_run = replace(run, progress=None, on_epoch_end=None) if again else run
    model, records = _low_rank(split.training, weight, options, epochs, first_run)
    neighbours = FEW_NEIGHBOURS if again else NEIGHBOURS
    model = replace(model, item_to_item=item_to_item(split.training, run.pool, neighbours=neighbours))
    strengths = choose_strengths(model, split, run.pool)
    if again:
        model, records = _low_rank(n, weight, options, epochs, run)
    if again or strengths.ease:
        model = replace(model, item_to_item=item_to_item(n, run.pool, ease=strengths.ease))
    records[-1] |= strengths.hits
    return replace(model, ridge=strengths.ridge, factors=strengths.factors), records


def _low_rank(n: Any, weight: float, options: RecommenderOptions, epochs: int, run: Run) -> tuple[Model, list[Record]]:
    """Return the model of the counts n without B, and a record per epoch.

    `train` gives user u the weight `input_weights[u]`, whatever the sum n_u of the counts. The weight n_u^(1-t) is the
    sum of the damped counts s_u n_uc up to a constant, so `counts` need no damping.
    """
    model = first_model(n, weight, options, run.pool)
    parameters = Parameters.untrained(newton_rows(n, model, run.pool), model.linear, model.bias)
    counts = grouped(n.astype(np.float64), run.pool.threads)
    settings = replace(SETTINGS, epochs=epochs, seed=options.seed)
    if epochs == 1:  # E is discarded, so the step of a row after its last use is useless
        settings = replace(settings, learning_rate=0.0)
    records = train(parameters, FitData(counts, input_weights=totals_of(n) ** (1 - EXPONENT)), settings, run)
    return replace(model, linear=np.asfortranarray(parameters.linear)), records
