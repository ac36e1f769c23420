"""Designs of model formulas, with what their transforms and categories have learnt from the fit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayesmix.allocation.designs import in_pandas, without_marks
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array

CATEGORICAL, NUMERICAL = "categorical", "numerical"


@dataclass(frozen=True)
class FormulaDesign:
    """The right side of a formula: state of its transforms, and levels of its categories."""

    formula: str
    transforms: dict[str, object] = field(default_factory=dict)
    levels: dict[str, list[object] | None] = field(default_factory=dict)  # None of numbers

    @classmethod
    def of(cls, formula: str, table: Any) -> tuple[FormulaDesign, Array, Any]:
        """Return the design of a formula, with response and columns but for the intercept."""
        matrices = _formulaic().model_matrix(formula, without_marks("X", in_pandas(table)))
        spec = matrices.rhs.model_spec
        levels = {
            factor: list(state["categories"]) if kind.value == CATEGORICAL else None
            for factor, (kind, state) in spec.encoder_state.items()
        }
        right = formula.split("~", 1)[1]
        response = np.asarray(matrices.lhs)[:, 0]
        return cls(right, dict(spec.transform_state), levels), response, _columns(matrices.rhs)

    def columns(self, table: Any) -> Any:
        """Return the columns of new data but for the intercept.

        Raises ``InvalidInputError`` for levels that the fit has not seen.
        """
        levels = {name: list(map(str, own)) for name, own in self.levels.items() if own}
        table = without_marks("X", in_pandas(table), levels)
        matrix = self._matrix(self.formula, table)
        spec = matrix.model_spec
        if not self.levels and (spec.transform_state or _categorical(spec)):
            raise InvalidInputError(
                f"the formula {self.formula.strip()!r} has categories or transforms, of which "
                "files of earlier versions have no levels and constants: fit again"
            )
        return _columns(matrix)

    def _matrix(self, formula: str, table: Any) -> Any:
        formulaic = _formulaic()
        from formulaic.errors import DataMismatchWarning

        kinds = formulaic.parser.types.Factor.Kind
        states = {
            factor: (kinds(NUMERICAL), {})
            if levels is None
            else (kinds(CATEGORICAL), {"categories": levels})
            for factor, levels in self.levels.items()
        }
        spec = formulaic.ModelSpec(
            formula=formulaic.Formula(formula), na_action="ignore",
            transform_state=dict(self.transforms), encoder_state=states,
        )  # fmt: skip
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DataMismatchWarning)
                return spec.get_model_matrix(table)
        except DataMismatchWarning as problem:
            text = str(problem)
            unseen = text[text.find("{") : text.rfind("}") + 1].strip("{}")
            raise InvalidInputError(
                f"X: column {self._factor_with(formula, table)!r} has {unseen}, which the fit has "
                "not seen"
            ) from None

    def _factor_with(self, formula: str, table: Any) -> str:
        """Return the first factor with levels that the fit has not seen."""
        factors = [factor for factor, levels in self.levels.items() if levels is not None]
        for factor in factors:
            if factor == formula:
                break
            try:
                self._matrix(factor, table)
            except InvalidInputError:
                return factor
        return formula


def _categorical(spec: Any) -> bool:
    return any(kind.value == CATEGORICAL for kind, _ in spec.encoder_state.values())


def _columns(matrix: Any) -> Any:
    return matrix.drop(columns="Intercept", errors="ignore")


def _formulaic() -> Any:
    try:
        import formulaic
    except ImportError:
        raise UnsupportedError(
            "a formula needs formulaic: pip install formulaic, or give X and y as arrays"
        ) from None
    return formulaic
