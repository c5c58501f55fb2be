"""Other libraries on the folds that ours are judged on, in an environment of their own, exchanged as `.npz`.

They bring forty packages (1.4 GB) that nothing else here needs: so no extra of the project holds them. Run as a script
of that environment, this module fits them: it must import nothing of ours, and no polars.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-references"
REQUIREMENTS = Path(__file__).parent / "references" / "requirements.txt"
MARK = ".installed"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "LOKY")}


@dataclass(frozen=True)
class References:
    """Out-of-fold scores of each library's model, and the seconds that fit and scoring took per fold."""

    scores: dict[str, np.ndarray]
    seconds: dict[str, float]


def measured_references(trial: Any, fold: np.ndarray, *, seed: int) -> References:
    """Fit every reference to the rows outside each fold, on one thread. What fails is named and left out."""
    python = make_environment()
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.npz", Path(folder) / "made.npz"
        np.savez(given, x=trial.x, treated=trial.is_treated, y=trial.outcome, e=trial.propensity, fold=fold, seed=seed)
        command = [str(python), str(Path(__file__)), str(given), str(made)]
        subprocess.run(command, check=True, env=os.environ | ONE_THREAD | {"PYTHONPATH": ""})
        with np.load(made) as read:
            names = [str(name) for name in read["names"]]
            return References(
                {name: read[f"score_{i}"] for i, name in enumerate(names)},
                dict(zip(names, read["seconds"].tolist(), strict=True)),
            )


def make_environment() -> Path:
    """The Python of the references, installed by pip from the pinned file if that has changed since."""
    python = ENVIRONMENT / "bin" / "python"
    wanted, mark = REQUIREMENTS.read_text(encoding="utf-8"), ENVIRONMENT / MARK
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS)]
        subprocess.run(install, check=True)
        mark.write_text(wanted, encoding="utf-8")
    return python


def causal_forest(x: Any, t: Any, y: Any, _e: float, seed: int) -> Callable[[Any], Any]:
    """econml's causal forest of 200 trees, its nuisances by the default of its documentation for a yes or no."""
    from econml.dml import CausalForestDML
    from sklearn.linear_model import LogisticRegression

    model = CausalForestDML(
        model_y=LogisticRegression(max_iter=1000),
        model_t=LogisticRegression(max_iter=1000),
        discrete_outcome=True,
        discrete_treatment=True,
        n_estimators=200,
        min_samples_leaf=50,
        random_state=seed,
        n_jobs=1,
    )
    model.fit(y, t, X=x)
    return lambda rows: np.asarray(model.effect(rows)).ravel()


def linear_dr(x: Any, t: Any, y: Any, _e: float, seed: int) -> Callable[[Any], Any]:
    """econml's doubly robust learner with a linear final stage."""
    from econml.dr import LinearDRLearner
    from sklearn.linear_model import LinearRegression, LogisticRegression

    model = LinearDRLearner(
        model_propensity=LogisticRegression(max_iter=1000), model_regression=LinearRegression(), random_state=seed
    )
    model.fit(y, t, X=x)
    return lambda rows: np.asarray(model.effect(rows)).ravel()


def uplift_forest(x: Any, t: Any, y: Any, _e: float, seed: int) -> Callable[[Any], Any]:
    """causalml's uplift forest of 50 trees."""
    from causalml.inference.tree import UpliftRandomForestClassifier

    model = UpliftRandomForestClassifier(
        control_name="control", n_estimators=50, max_depth=5, min_samples_leaf=200, random_state=seed, n_jobs=1
    )
    model.fit(x, np.where(t == 1, "treated", "control"), y)
    return lambda rows: np.asarray(model.predict(rows)).ravel()


def meta_x(x: Any, t: Any, y: Any, e: float, seed: int) -> Callable[[Any], Any]:
    """causalml's X-learner with boosted trees."""
    from causalml.inference.meta import BaseXRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = BaseXRegressor(learner=HistGradientBoostingRegressor(max_iter=60, learning_rate=0.05, random_state=seed))
    model.fit(x, t, y, p=np.full(len(y), e))
    return lambda rows: np.asarray(model.predict(rows, p=np.full(len(rows), e))).ravel()


def sklift(kind: str) -> Callable[..., Callable[[Any], Any]]:
    """scikit-uplift's class transformation or solo model with boosted trees."""

    def fit(x: Any, t: Any, y: Any, _e: float, seed: int) -> Callable[[Any], Any]:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklift.models import ClassTransformation, SoloModel

        trees = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.05, random_state=seed)
        model = ClassTransformation(trees) if kind == "class" else SoloModel(trees, method="treatment_interaction")
        model.fit(x, y, t)
        return lambda rows: np.asarray(model.predict(rows)).ravel()

    return fit


MODELS: dict[str, Callable[..., Callable[[Any], Any]]] = {
    "econml CausalForestDML 200": causal_forest,
    "econml LinearDRLearner": linear_dr,
    "causalml UpliftRandomForest 50": uplift_forest,
    "causalml X-learner": meta_x,
    "scikit-uplift ClassTransformation": sklift("class"),
    "scikit-uplift SoloModel": sklift("solo"),
}


def fit_all(given: Path, made: Path) -> None:
    """Every model on every fold; run by the references' own Python."""
    import warnings

    warnings.simplefilter("ignore")
    with np.load(given) as read:
        x, t, y, e, fold, seed = (read[name] for name in ("x", "treated", "y", "e", "fold", "seed"))
    x, t, y, seed = x.astype(np.float64), t.astype(int), y.astype(int), int(seed)
    scores, seconds = {}, {}
    for name, fit in MODELS.items():
        try:
            fit(x[:2000], t[:2000], y[:2000], float(e[0]), seed)(x[:10])  # imports and compiled code are no fitting
            score, spent = np.empty(len(y)), 0.0
            for k in np.unique(fold):
                learn, asked = fold != k, fold == k
                started = time.perf_counter()
                score[asked] = fit(x[learn], t[learn], y[learn], float(e[0]), seed)(x[asked])
                spent += time.perf_counter() - started
        except Exception as error:  # a reference that breaks is reported, not hidden: the others still count
            print(f"NOT MEASURED: {name}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        scores[name], seconds[name] = score, spent / len(np.unique(fold))
        print(f"{name}: {seconds[name]:.1f} s a fold", file=sys.stderr, flush=True)
    arrays = {f"score_{i}": score for i, score in enumerate(scores.values())}
    np.savez(made, names=np.array(list(scores)), seconds=np.array(list(seconds.values())), **arrays)


if __name__ == "__main__":
    fit_all(Path(sys.argv[1]), Path(sys.argv[2]))
