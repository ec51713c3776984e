"""What every service measures about itself."""

import asyncio
import time

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from reprise import metrics


def test_the_page_parses_and_holds_what_was_counted() -> None:
    registry = CollectorRegistry()
    Counter("reprise_toy_calls", "Calls", ["door"], registry=registry).labels("http").inc(3)
    page = metrics.render(registry)
    assert (page.status, page.headers) == (200, (("content-type", metrics.CONTENT_TYPE),))
    assert isinstance(page.body, bytes)
    samples = [s for family in text_string_to_metric_families(page.body.decode()) for s in family.samples]
    assert ("reprise_toy_calls_total", {"door": "http"}, 3.0) in [(s.name, s.labels, s.value) for s in samples]


def test_a_process_reports_cpu_memory_and_files_under_its_services_name() -> None:
    registry = CollectorRegistry()
    for collector in metrics.process_collectors("toy", metrics.LoopLag("toy")):
        registry.register(collector)
    names = {metric.name for metric in registry.collect()}
    assert {"reprise_toy_process_cpu_seconds", "reprise_toy_process_resident_memory_bytes"} <= names
    assert {"reprise_toy_process_open_fds", "reprise_toy_loop_lag_seconds"} <= names


async def test_a_blocked_loop_shows_as_lag() -> None:
    lag = metrics.LoopLag("toy", interval_s=0.001, window=1)
    assert lag.p95_s() == 0.0
    sampling = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    time.sleep(0.05)  # noqa: ASYNC251 - blocking the loop is the point
    while lag.p95_s() == 0.0:
        await asyncio.sleep(0)
    sampling.cancel()
    assert lag.p95_s() > 0.03


def test_only_the_last_samples_count() -> None:
    lag = metrics.LoopLag("toy", window=40)
    lag._lags = [0.0] * 37 + [1.0] * 3
    assert lag.p95_s() == 1.0
    lag._lags = [0.0] * 39 + [1.0]
    assert lag.p95_s() == 0.0
