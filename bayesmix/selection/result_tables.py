"""Tables of candidates for a reader: by structure, the leading ones."""

from __future__ import annotations

from typing import Any

from bayesmix.selection.criteria import ON_SAMPLE, record
from bayesmix.selection.structures import alike, from_simple_to_rich


def comparing(results: Any, criterion: str) -> str:
    """Return the column that compares all candidates: the criterion, or its values on a sample."""
    return ON_SAMPLE if ON_SAMPLE in results else record(criterion).column


def over_structures(results: Any, criterion: str) -> Any:
    """Return a criterion as a matrix, K by structure; ``attrs["best"]`` has the best three cells.

    For K = 1, structures that are the same model show the same value.
    """
    names = from_simple_to_rich(dict.fromkeys(results["covariance_type"]))
    matrix = results.pivot_table(
        index="n_components", columns="covariance_type", values=criterion, dropna=False, sort=False
    )
    matrix = matrix.reindex(columns=names).sort_index()
    smaller_is_better = record(criterion).factor < 0.0
    cells = matrix.stack()
    best = cells.nsmallest(3) if smaller_is_better else cells.nlargest(3)
    if 1 in matrix.index:
        for name, equal in alike(names).items():
            values = matrix.loc[1, equal]
            matrix.loc[1, name] = values.min() if smaller_is_better else values.max()
    matrix.attrs = {"best": [(name, int(k), float(value)) for (k, name), value in best.items()]}
    return matrix


def leading(results: Any, criterion: str, most: int) -> tuple[list[str], list[list[str]]]:
    """Return headers and rows of the first candidates: parameters, criterion, other criteria."""
    columns = list(results.columns)
    kind = columns[: columns.index("found_components")]
    beside = [name for name in ("bic", "icl", "aic") if name in columns and name != criterion]
    rows = [
        [
            *(str(row[name]) for name in kind),
            *(f"{row[name]:,.2f}" for name in (criterion, "behind", *beside)),
        ]
        for _, row in results.head(most).iterrows()
    ]
    return [*kind, criterion, "behind", *beside], rows
