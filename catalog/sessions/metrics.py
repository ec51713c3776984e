"""What sessions count. Every outcome of a call is one label value, so that sums are complete."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class SessionMetrics:
    """Counters and gauges of one catalog's sessions, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.logins = Counter(
            "reprise_catalog_logins_total",
            "Logins by way (password, device) and outcome (accepted, refused, paused, unavailable)",
            ["way", "outcome"],
            registry=registry,
        )
        self.refreshes = Counter(
            "reprise_catalog_session_refreshes_total",
            "Refreshes by outcome: rotated, repeated, reused, expired, ended",
            ["outcome"],
            registry=registry,
        )
        self.ended = Counter(
            "reprise_catalog_sessions_ended_total",
            "Sessions that ended by cause: logout, reused, password, displaced, expired",
            ["cause"],
            registry=registry,
        )
        self._passwords = Gauge(
            "reprise_catalog_passwords_under_way", "Passwords being hashed or waiting for it", registry=registry
        )
        self._failures = Gauge(
            "reprise_catalog_login_failures_remembered", "Names and addresses that failed lately", registry=registry
        )

    def watch(self, passwords_under_way: Callable[[], int], failures_remembered: Callable[[], int]) -> None:
        self._passwords.set_function(passwords_under_way)
        self._failures.set_function(failures_remembered)
