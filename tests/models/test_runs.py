import pytest

torch = pytest.importorskip("torch")

from dataclasses import dataclass  # noqa: E402

from models.train import runs  # noqa: E402
from models.train.runs import Course, Run  # noqa: E402

STEPS = 23


@dataclass
class Settings:
    steps: int = STEPS


class StoppedError(Exception):
    pass


def train(folder, until=STEPS):
    """Fits a line, to be broken off after some steps; gives the averaged weights."""
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 1)
    optimiser = torch.optim.AdamW(net.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, STEPS)
    course = Course(Run.begin(folder, Settings()), net, optimiser, schedule, STEPS, 0.9)
    for step in course:
        if step == until:
            raise StoppedError
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
        seldom = 1.0 if step == 7 else float("nan")
        course.learn(step, loss, {"loss": loss.item(), "seldom": seldom})
    return course.mean


@pytest.fixture(autouse=True)
def _kept_often(monkeypatch):
    monkeypatch.setattr(runs, "KEPT_EVERY", 5)


def test_a_run_broken_off_ends_where_one_in_one_piece_does(tmp_path):
    whole = train(tmp_path / "whole")
    with pytest.raises(StoppedError):
        train(tmp_path / "parts", until=13)
    parts = train(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    kept = Run(tmp_path / "parts").weights()
    assert all(torch.equal(whole[name], kept[name]) for name in whole)


def test_the_curve_has_means_of_what_was_told_since_the_last_row(tmp_path):
    train(tmp_path)
    rows = [row.split(",") for row in (tmp_path / "curve.csv").read_text().split()]
    assert [row[0] for row in rows] == ["step", "5", "10", "15", "20", "23"]
    assert [row[rows[0].index("seldom")] for row in rows[1:]] == ["nan", "1.0", "nan", "nan", "nan"]
    losses = [float(row[rows[0].index("loss")]) for row in rows[1:]]
    assert losses[-1] < 0.5 * losses[0]
