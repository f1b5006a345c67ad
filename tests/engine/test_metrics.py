import threading

from engine.metrics import ServerMetrics, StageTimes


class Clock:
    def __init__(self, *times):
        self.times = list(times)

    def __call__(self):
        return self.times.pop(0)


def test_a_measured_block_counts_under_its_name():
    times = StageTimes(clock=Clock(1.0, 1.25))
    with times.measure("render"):
        pass
    assert times.summary() == {"render": {"p50": 250.0, "p95": 250.0, "count": 1}}


def test_a_block_that_raises_is_measured_all_the_same():
    times = StageTimes(clock=Clock(0.0, 0.5))
    try:
        with times.measure("audio"):
            raise ValueError
    except ValueError:
        pass
    assert times.summary()["audio"]["count"] == 1


def test_median_and_p95_are_of_recent_times_and_the_count_of_all():
    times = StageTimes()
    for ms in range(2000):
        times.record("encode", float(ms))
    summary = times.summary()["encode"]
    assert summary["count"] == 2000
    assert 1700 < summary["p50"] < 1800
    assert 1960 < summary["p95"] < 2000


def test_threads_may_record_at_once():
    times = StageTimes()

    def record():
        for _ in range(500):
            times.record("x", 1.0)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert times.summary()["x"]["count"] == 2000


def test_two_servers_have_figures_of_their_own():
    one, other = ServerMetrics(), ServerMetrics()
    one.pictures_total.inc()
    one.observe_stage("render", 12.5)
    assert b"visavis_pictures_total 1.0" in one.text()
    assert b'visavis_stage_ms_count{stage="render"} 1.0' in one.text()
    assert b"visavis_pictures_total 0.0" in other.text()
