"""How many threads the numeric libraries may take. Threads that wait for one another spin, and burn what they wait for.

Both limits are of the process, and hold back only what is loaded by then: so both load the libraries first.
"""

from collections.abc import Iterator
from contextlib import contextmanager

FEWEST_ROWS_FOR_THREADS = 200_000  # 94,000 rows on two busy cores: 28 s on two threads, 6 s on one


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Linear algebra on one thread: the sums of a likelihood over a few thousand rows are no work to share.

    A night of 130,000 training rows took 91 CPU s on two threads and 42 on one, its contracts 63 and 19. And sums no
    longer hang on the number of cores. Of use as a decorator, too.
    """
    with _limited(1, user_api="blas"):
        yield


@contextmanager
def threads_for(n_rows: int) -> Iterator[None]:
    """Trees on one thread for few rows, on all cores for many. The answer is the same to the bit."""
    with _limited(1 if n_rows < FEWEST_ROWS_FOR_THREADS else None, user_api="openmp"):
        yield


@contextmanager
def _limited(n_threads: int | None, *, user_api: str) -> Iterator[None]:
    import scipy.linalg  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=n_threads, user_api=user_api):
        yield
