"""mclust's fits, made again from its own start: what its files of likelihoods do not record.

mclust starts EM from a hierarchical clustering of the rows (Fraley 1998, unconstrained model: the
pair is merged whose union costs least) of the standardised columns, turned to their principal axes
and divided by the square roots of the singular values. Where EM from that start comes to mclust's
own log likelihood, its parameters are mclust's.
"""

import numpy as np


def turned(rows):
    """Standardised columns on their principal axes, as ``hcUse = "SVD"``."""
    standardised = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    _, singular, axes = np.linalg.svd(standardised, full_matrices=False)
    return standardised @ axes.T / np.sqrt(singular)


def merge_cost(counts, scatters, share):
    """n log(|S/n| + (tr S + share) / n), the cost of clusters; without |S/n| at n <= D."""
    dimension = scatters.shape[-1]
    spread = np.log((np.trace(scatters, axis1=-2, axis2=-1) + share) / counts)
    sign, log_det = np.linalg.slogdet(scatters)
    whole = (counts > dimension) & (sign > 0)
    volume = np.where(whole, log_det - dimension * np.log(counts), -np.inf)
    return counts * np.logaddexp(volume, spread)


def partitions(rows, most):
    """Labels (n,) of the hierarchical clustering into 1, ..., ``most`` clusters."""
    values = turned(rows)
    n, dimension = values.shape
    share = float(((values - values.mean(axis=0)) ** 2).sum()) / (n * dimension)
    counts, means = np.ones(n), values.copy()
    scatters = np.zeros((n, dimension, dimension))
    own, labels, alive = np.full(n, np.log(share)), np.arange(n), np.ones(n, dtype=bool)
    costs = np.full((n, n), np.inf)

    def against(i, others):
        """Cost of merging cluster i with each of the others."""
        total = counts[i] + counts[others]
        between = means[others] - means[i]
        weight = counts[i] * counts[others] / total
        joined = scatters[i] + scatters[others]
        joined = joined + weight[:, None, None] * between[:, :, None] * between[:, None, :]
        return merge_cost(total, joined, share), joined

    for i in range(n - 1):
        others = np.arange(i + 1, n)
        costs[i, others] = against(i, others)[0] - own[i] - own[others]
    found = {}
    for size in range(n, 0, -1):
        if size <= most:
            found[size] = np.unique(labels, return_inverse=True)[1].ravel()
        if size == 1:
            return found
        i, j = np.unravel_index(costs.argmin(), costs.shape)
        cost, joined = against(i, np.array([j]))
        total = counts[i] + counts[j]
        means[i] = (counts[i] * means[i] + counts[j] * means[j]) / total
        counts[i], scatters[i], own[i] = total, joined[0], cost[0]
        labels[labels == labels[j]] = labels[i]
        alive[j] = False
        costs[j, :] = costs[:, j] = np.inf
        others = np.flatnonzero(alive & (np.arange(n) != i))
        fresh = against(i, others)[0] - own[i] - own[others]
        costs[np.minimum(i, others), np.maximum(i, others)] = fresh
    return found


def covariances(kind, scatters, counts):
    """Covariances (K, D, D) of a structure from scatters and counts."""
    dimension = scatters.shape[-1]
    if kind == "full":
        return scatters / counts[:, None, None]
    if kind == "tied":
        return np.broadcast_to(scatters.sum(axis=0) / counts.sum(), scatters.shape)
    variances = np.diagonal(scatters, axis1=1, axis2=2) / counts[:, None]
    if kind == "spherical":
        variances = np.broadcast_to(variances.mean(axis=1, keepdims=True), variances.shape)
    return variances[:, :, None] * np.eye(dimension)


def expectation_maximisation(rows, labels, kind, tolerance=1e-9, most=20_000):
    """Log likelihood, covariances (K, D, D) and labels that plain EM comes to from labels."""
    shares = np.eye(labels.max() + 1)[labels]
    before = -np.inf
    for _ in range(most):
        counts = shares.sum(axis=0)
        means = shares.T @ rows / counts[:, None]
        away = rows[None] - means[:, None]
        scatters = np.einsum("nk,knd,kne->kde", shares, away, away)
        matrices = covariances(kind, scatters, counts)
        solved = np.linalg.solve(matrices, away.transpose(0, 2, 1))
        distances = np.einsum("knd,kdn->nk", away, solved)
        log_det = np.linalg.slogdet(2.0 * np.pi * matrices)[1]
        joint = np.log(counts / len(rows)) - 0.5 * (log_det + distances)
        log_density = np.logaddexp.reduce(joint, axis=1)
        shares = np.exp(joint - log_density[:, None])
        log_likelihood = float(log_density.sum())
        if abs(log_likelihood - before) < tolerance * (1.0 + abs(log_likelihood)):
            break
        before = log_likelihood
    return log_likelihood, matrices, shares.argmax(axis=1)


def robust_scale(column):
    """IQR / 1.349 of the lower quantiles, the standard deviation where that is 0."""
    ordered, n = np.sort(column), len(column)
    spread = ordered[int(np.ceil(0.75 * n)) - 1] - ordered[int(np.ceil(0.25 * n)) - 1]
    return spread / 1.349 if spread > 0 else column.std()


def floors(rows):
    """Smallest variance (D,) that rows support: 1e-6 scale², gap²/12 where they tie (DESIGN 4)."""
    found = []
    for column in rows.T:
        steps = np.diff(np.unique(column))
        gap = steps.min() if len(steps) + 1 < len(column) else 0.0
        found.append(max(1e-6 * robust_scale(column) ** 2, gap**2 / 12.0))
    return np.array(found)


def is_degenerate(rows, matrices, labels):
    """Whether a component is below the floor along a direction with too few distinct values."""
    unit, needed = np.sqrt(floors(rows)), 5 * (rows.shape[1] + 1)
    for k, matrix in enumerate(matrices):
        variances, axes = np.linalg.eigh(matrix / np.outer(unit, unit))
        for axis in axes[:, variances < 1.0].T:
            if len(np.unique(np.round(rows[labels == k] / unit @ axis, 9))) < needed:
                return True
    return False
