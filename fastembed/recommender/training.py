"""Training of a recommender: `fitted` makes the arrays W, b and B of the items of users.

W and the rows E of the users minimise, with decays of both,

    - sum_u |n_u|^(1/2) sum_c n_uc / |n_u| log softmax(E_u W + b)_c

======  ===========================================================================================================
n_uc    the count of item c of user u (`model.log_counts`); |n_u| is the sum over the items of u
E       (U, D), the rows of the users, which are discarded: `model.fold` computes the row of any user from the items
W       (D, V), the columns of the items
b       (V,), the logarithms of the shares of the items, which stay as they are
B       (V, V), the item-to-item model, computed without W (`item_to_item.py`)
======  ===========================================================================================================

A first training leaves out some users, whose hidden items choose how much W, B and popularity count (`strengths.py`).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from fastembed._base.memory import check_free
from fastembed._base.validation import number_of, warn_user
from fastembed.counts.store import grouped
from fastembed.recommender.data import Interactions
from fastembed.recommender.item_to_item import FEW_NEIGHBOURS, MOST_PAIRS, item_weights
from fastembed.recommender.model import DAMPING_EXPONENT, FittedRecommender, Model, log_counts, totals_of
from fastembed.recommender.options import RecommenderOptions
from fastembed.recommender.start import first_model, newton_rows
from fastembed.recommender.strengths import choose_strengths, hide_items, number_of_hiding_users
from fastembed.trainer.data import FitData, FitOptions
from fastembed.trainer.fit import train
from fastembed.trainer.parameters import Parameters
from fastembed.trainer.run import Record, Run

# Higher rates learn sooner and may pass the optimum. A smaller block of users gives W more steps per epoch, by slower
# products. The decays of E and W trade a close fit to the users of training for new users
SETTINGS = FitOptions(learning_rate=1.0, linear_learning_rate=1.0, block_size=256, l2=0.3, linear_l2=0.4)
WANTED_BLOCKS = 160  # blocks of all epochs together, by default: more take longer and fit closer
FEWEST_EPOCHS, MOST_EPOCHS = 3, 10  # the bounds of the default number of epochs, where blocks are many or few
MOST_SCORES_PER_ENTRY = 1400  # epochs * users * items / entries, by default: bounds the time if items are many
FREE_SCORES = 1 << 26  # the bound on epochs * users * items is at least this
NEGLIGIBLE = 0.01  # share of users: if no more have hidden items, W is trained once, without them
FIXED_BYTES = 24 << 20  # bytes that training takes for data of any size

Trained = tuple[Model, list[Record]]  # a model, and a record per epoch


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
    ValueError
        If no user has an item.
    MemoryError
        If training needs more memory than is free.
    """
    x, (users, items) = data.matrix, data.matrix.shape
    if not x.nnz:
        raise ValueError("there is nothing to learn from: no user has an item")
    sizes = np.diff(x.indptr).astype(float)
    if sizes.max() < 2:
        warn_user("no user has two items: nothing but the popularity of items can be learned")
    memory = bytes_needed(x.shape, x.nnz, float(sizes @ sizes), options.dim)
    check_free(memory, f"training {users:,} users of {items:,} items", "a smaller dim takes less")
    epochs = options.epochs or epochs_for(x.shape, x.nnz)
    if run.progress is not None:
        run.progress.training(Sizes(users, items, x.nnz, epochs))
    model, history = trained_model(x, options, epochs, run)
    return FittedRecommender(model, data, history, asdict(options))


def epochs_for(shape: tuple[int, int], entries: int) -> int:
    """Return the default number of epochs: more if an epoch has few steps, fewer if there are few entries."""
    users, items = shape
    most = max(1, max(MOST_SCORES_PER_ENTRY * entries, FREE_SCORES) // (users * items))
    blocks = -(-users // SETTINGS.block_size)
    return int(min(most, np.clip(-(-WANTED_BLOCKS // blocks), FEWEST_EPOCHS, MOST_EPOCHS)))


def bytes_needed(shape: tuple[int, int], entries: int, pairs: float, dim: int) -> int:
    """Return the bytes that training needs, within 30 %; the factors are measured.

    Parameters
    ----------
    pairs : float
        The sum over all users of the square of the number of their items.
    """
    users, items = shape
    count_bytes, row_bytes = 36 * entries, 8 * dim * (users + 2 * items)  # n in a few forms; E, and W with its momentum
    # Entries of G: as many as pairs that fall at random on V^2 cells, times 0.65, since users share popular items
    different = -0.65 * items**2 * np.expm1(-pairs / items**2)
    pair_bytes, logit_bytes = 8 * min(different, MOST_PAIRS), 18 * number_of_hiding_users(users, items) * items
    return int(FIXED_BYTES + count_bytes + row_bytes + pair_bytes + logit_bytes)


def trained_model(x: Any, options: RecommenderOptions, epochs: int, run: Run) -> Trained:
    """Return the model of users with the items x, and a record per epoch.

    Hidden items of some users choose the strengths, after a training of a draft without these users. A second training
    has all users; if the users with hidden items are few, the draft is the low-rank model. B is made of all users. If
    too few items can be hidden, there is no draft, and the strengths are those of `first_model`.

    Parameters
    ----------
    x : csr_array (U, V), float32
        Positive weights, at least one. Users and items without any are allowed.
    options : RecommenderOptions
    epochs : int
    run : Run
        Receives the reports of the last training.
    """
    n = log_counts(x, weight := float(np.median(x.data)))
    if not n.data.all():  # weights of 6e-8 of the median and less
        n = n.copy()
        n.eliminate_zeros()
    split = hide_items(n, options.seed)
    if split is None:
        model, records = train_low_rank(n, weight, options, epochs, run)
        return replace(model, item_weights=item_weights(n, run.pool)), records
    few = split.hidden.shape[0] <= NEGLIGIBLE * n.shape[0]
    draft_run = run if few else replace(run, progress=None, on_epoch_end=None)
    draft, records = train_low_rank(split.training, weight, options, epochs, draft_run)
    draft = replace(draft, item_weights=item_weights(split.training, run.pool, neighbours=FEW_NEIGHBOURS))
    strengths = choose_strengths(draft, split, run.pool)
    model, records = (draft, records) if few else train_low_rank(n, weight, options, epochs, run)
    records[-1] |= strengths.hits
    b = item_weights(n, run.pool, ease_factor=strengths.ease_factor)
    return replace(model, item_weights=b, ridge=strengths.ridge, factors=strengths.factors), records


def train_low_rank(n: Any, weight: float, options: RecommenderOptions, epochs: int, run: Run) -> Trained:
    """Return the model of the counts n without B, and a record per epoch.

    The scale of the counts of a user does not change the direction of the gradient, so damping is only a weight of the
    user in the gradient of W: |n_u|^(1/2), the sum of the damped counts up to a constant.
    """
    model = first_model(n, weight, options, run.pool)
    parameters = Parameters.untrained(newton_rows(n, model, run.pool), model.linear, model.bias)
    counts = grouped(n.astype(np.float64), run.pool.threads)
    settings = replace(SETTINGS, epochs=epochs, seed=options.seed)
    if epochs == 1:  # each row of E is used once, before its step, and E is discarded: the steps would change nothing
        settings = replace(settings, learning_rate=0.0)
    records = train(parameters, FitData(counts, input_weights=totals_of(n) ** (1 - DAMPING_EXPONENT)), settings, run)
    return replace(model, linear=np.asfortranarray(parameters.linear)), records
