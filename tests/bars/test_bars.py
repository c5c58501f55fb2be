from benchmarks.bars import below_verdict, level_verdict, ranking_verdict, show_verdicts


def test_a_ranking_within_a_tie_of_its_bar_is_met_and_called_a_tie():
    verdict = ranking_verdict("all: auc", 0.7197, low=0.72, rivals={"recency": 0.70})

    assert (verdict.is_met, verdict.answer) == (True, "tie")


def test_a_ranking_more_than_a_tie_behind_a_reference_is_missed_though_its_bar_is_met():
    verdict = ranking_verdict("all: auc", 0.73, low=0.72, rivals={"recency": 0.70, "cox": 0.7351})

    assert (verdict.is_met, verdict.reference) == (False, "cox 0.7351")


def test_a_level_knows_no_tie():
    assert not level_verdict("all: log_loss", 0.3461, high=0.346).is_met
    assert level_verdict("all: log_loss", 0.3459, high=0.346, rivals={"cox": 0.3, "recency": 0.4}).is_met


def test_a_loss_must_be_below_every_plainer_forecast():
    rivals = {"own rate": 0.05, "recency": 0.049}

    assert below_verdict("over 4: brier", 0.0489, rivals=rivals).is_met
    assert not below_verdict("over 4: brier", 0.049, rivals=rivals).is_met


def test_the_table_says_figure_bar_and_reference_of_each(capsys):
    met = level_verdict("all: observed_over_expected", 1.16, low=0.85, high=1.15)
    lost = ranking_verdict("all: auc", 0.8, low=0.7, rivals={"recency": 0.6})

    assert not show_verdicts([met, lost])
    assert capsys.readouterr().out.splitlines()[2:4] == [
        "| all: observed_over_expected | 1.1600 | 0.85 to 1.15 |                |  NO |",
        "| all: auc                    | 0.8000 |        ≥ 0.7 | recency 0.6000 | yes |",
    ]
