import subprocess
import sys

from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from dagster_project.models.threads import FEWEST_ROWS_FOR_THREADS, on_one_thread, threads_for


def threads_of(user_api: str) -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == user_api}


def test_linear_algebra_has_one_thread_inside_and_its_own_number_again_after() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        with on_one_thread():
            assert threads_of("blas") == {1}
        assert threads_of("blas") == {2}


def test_trees_have_one_thread_for_few_rows_and_all_that_there_are_for_many() -> None:
    with threadpool_limits(limits=2, user_api="openmp"):
        with threads_for(FEWEST_ROWS_FOR_THREADS - 1):
            assert threads_of("openmp") == {1}
        with threads_for(FEWEST_ROWS_FOR_THREADS):
            assert threads_of("openmp") == {2}


def test_libraries_that_are_not_loaded_yet_are_held_back_too() -> None:
    code = (
        "from dagster_project.models.threads import on_one_thread, threads_for\n"
        "with on_one_thread(), threads_for(0):\n"
        "    import lifelines, scipy.optimize, sklearn.linear_model\n"
        "    from threadpoolctl import threadpool_info\n"
        "    print(sorted({library['num_threads'] for library in threadpool_info()}))\n"
    )
    told = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[1]"
