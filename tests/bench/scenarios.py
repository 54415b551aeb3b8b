"""The scenarios; each begins with a fresh database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from statistics import median

from tests.bench import helpers, limits, openings
from tests.bench.failures import BenchFailed
from tests.bench.nginx import Nginx
from tests.bench.openings import Page, percentile
from tests.bench.spies import Spies
from tests.bench.stack import Bench, Crew, Product
from tests.bench.usage import Usage

EVENTS = 20_000
LIMIT_REQUESTS = 40_000
LATENCY_S = 20
RATES = (50, 200)
#: How many budgets signals charge, and how many rules of its own a tenant has.
TRIGGERS = ((1, 0), (10, 0), (100, 0), (100, 20))
_WARM_EVENTS = 1_000
#: As the limit: of three, the one in the middle.
_BURSTS = 3
_TIMEOUT_S = 120.0
_POLL_S = 0.01
_SENT_POLL_S = 0.05

Say = Callable[[str], None]


@dataclass
class Result:
    """Figures of one scenario by name, and what each process used."""

    figures: dict[str, float]
    cpu_s: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)


@dataclass(frozen=True)
class Ground:
    """What scenarios stand on."""

    bench: Bench
    nginx: Nginx
    crew: Crew
    spies: Spies
    say: Say


def limit(ground: Ground) -> Result:
    """Measure the bare loop, and our sender beside it; the median of three."""
    url, before = ground.nginx.url(), ground.nginx.requests()
    figures = {}
    for name, measure in (("limit", limits.bare), ("limit_sender", limits.sender)):
        ground.say(f"limit: {name}")
        figures[name] = median(measure(url, LIMIT_REQUESTS) for _ in range(3))
    came = ground.nginx.requests() - before
    if came != 6 * LIMIT_REQUESTS:
        raise BenchFailed(f"limit: {came} of {6 * LIMIT_REQUESTS} requests came")
    return Result(figures)


def hot(ground: Ground) -> Result:
    """Send all events to one endpoint; the median of three bursts.

    The bare loop runs before and after each: a machine is not the same a minute later,
    and a share of the limit is one of the limit that there was then.
    """
    beside: list[float] = []

    def measure() -> None:
        ground.say("hot: the bare loop beside it")
        beside.append(limits.bare(ground.nginx.url(), LIMIT_REQUESTS))

    result = _throughput(ground, "hot", endpoints=1, tenants=1, between=measure)
    result.figures["limit_beside_hot"] = median(beside)
    return result


def spread(ground: Ground) -> Result:
    """Send as many events to a thousand endpoints of ten tenants."""
    return _throughput(ground, "spread", endpoints=1_000, tenants=10)


def _throughput(
    ground: Ground,
    name: str,
    *,
    endpoints: int,
    tenants: int,
    between: Callable[[], None] = lambda: None,
) -> Result:
    ground.say(f"{name}: starting workers, making {endpoints} endpoints")
    with ground.bench.product(ground.crew) as product:
        urls = [ground.nginx.url(f"e/{number}") for number in range(endpoints)]
        product.endpoints(urls, tenants)
        run = _Run(ground, product, endpoints, tenants)
        ground.say(f"{name}: warming")
        run.burst("warm", _WARM_EVENTS)
        product.query("SELECT pg_stat_statements_reset()")
        bursts = []
        with ground.spies.on(name, product):
            between()
            for number in range(_BURSTS):
                ground.say(f"{name}: {EVENTS} events, burst {number + 1} of {_BURSTS}")
                product.query("CHECKPOINT")
                bursts.append(run.burst(f"{name}-{number}", EVENTS))
                between()
        rate, cpu_s = sorted(bursts, key=itemgetter(0))[_BURSTS // 2]
        result = Result({name: rate}, cpu_s, product.complaints())
        ground.spies.statements(name, product)
        return result


class _Run:
    """Bursts of events against one product, checked to the last one."""

    def __init__(
        self, ground: Ground, product: Product, endpoints: int, tenants: int
    ) -> None:
        self._ground = ground
        self._product = product
        self._shape = {"endpoints": endpoints, "tenants": tenants}

    def burst(self, name: str, count: int) -> tuple[float, dict[str, float]]:
        """Return deliveries a second, first XADD to last recorded attempt."""
        product, nginx = self._product, self._ground.nginx
        before, sent_before = _attempts(product), nginx.requests()
        order = _order(product, name, count, 0.0) | self._shape
        with helpers.producer(order) as producer:
            pids = {"nginx": nginx.pid, "producer": producer.pid}
            usage = Usage(product.pids | pids)
            producer.tell("go")
            began, _ = producer.hear()
            self._wait(name, before, sent_before, count)
            ended = time.monotonic()
            cpu_s = usage.so_far()
        _check(product, name, before + count, nginx.requests() - sent_before, count)
        return count / (ended - began), cpu_s

    def _wait(self, name: str, before: int, sent_before: int, count: int) -> None:
        """Wait for the last attempt; count in the database only near the end.

        Counting rows costs what is being measured, asking nginx next to nothing.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        sent = done = 0
        while done < count:
            if time.monotonic() > deadline:
                raise BenchFailed(
                    f"{name}: {_attempts(self._product) - before} of {count} attempts"
                    f" recorded after {_TIMEOUT_S:g} s; {_state(self._product)}"
                )
            if sent < count:
                sent = self._ground.nginx.requests() - sent_before
                self._ground.say(f"{name}: {sent} of {count} sent")
                time.sleep(_SENT_POLL_S)
            else:
                done = _attempts(self._product) - before
                time.sleep(_POLL_S)


def latency(ground: Ground) -> Result:
    """Measure XADD to arrival at each rate, one endpoint."""
    figures: dict[str, float] = {}
    cpu_s: dict[str, float] = {}
    remarks: list[str] = []
    for rate in RATES:
        name = f"latency_{rate}"
        took, used, said = _latency(ground, name, rate)
        for share in (50, 90, 99):
            figures[f"{name}_p{share}_ms"] = percentile(took, share) * 1000
        figures[f"{name}_max_ms"] = took[-1] * 1000
        cpu_s |= {f"{rate}/s {key}": value for key, value in used.items()}
        remarks += said
    return Result(figures, cpu_s, remarks)


def _latency(
    ground: Ground, name: str, rate: int
) -> tuple[list[float], dict[str, float], list[str]]:
    count = rate * LATENCY_S
    ground.say(f"{name}: starting workers")
    with ground.bench.product(ground.crew) as product, _Receiver() as receiver:
        product.endpoints([receiver.url], 1)
        run = {"endpoints": 1, "tenants": 1}
        with helpers.producer(_order(product, "warm", 200, 100.0) | run) as producer:
            producer.tell("go")
            producer.hear()
        _wait_for(product, 200)
        ground.say(f"{name}: {LATENCY_S} s at {rate} events/s")
        order = _order(product, name, count, float(rate)) | run
        with ground.spies.on(name, product), helpers.producer(order) as producer:
            usage = Usage(product.pids)
            producer.tell("go")
            went_out = producer.hear()
            _wait_for(product, 200 + count)
            cpu_s = usage.so_far()
        came = receiver.by_id()
        _check(product, name, 200 + count, sum(map(len, came.values())) - 200, count)
        took = _differences(name, went_out, came)
        return took, cpu_s, product.complaints()


class _Receiver(helpers.Helper):
    def __init__(self) -> None:
        super().__init__("arrivals")
        self.url = f"http://127.0.0.1:{self.hear()}/"

    def by_id(self) -> dict[str, list[float]]:
        """End it; return when each event came."""
        self.tell("enough")
        came: dict[str, list[float]] = self.hear()
        return came


def _differences(
    name: str, went_out: Sequence[float], came: dict[str, list[float]]
) -> list[float]:
    took = []
    for number, when in enumerate(went_out):
        arrivals = came.get(f"{name}-{number:06d}", [])
        if len(arrivals) != 1:
            raise BenchFailed(f"{name}: event {number} came {len(arrivals)} times")
        took.append(arrivals[0] - when)
    return sorted(took)


def lists(ground: Ground) -> Result:
    """Open each page of a list of a million, again and again."""
    pages = openings.measure(ground.bench, ground.say)
    slowest = max(each.p95_ms for each in pages)
    return Result({"lists_slowest_p95_ms": slowest}, pages=pages)


def _order(
    product: Product, run: str, count: int, per_s: float
) -> dict[str, str | int | float]:
    return {
        "run": run,
        "count": count,
        "per_s": per_s,
        "redis_url": product.redis_url,
        "stream": product.settings.stream,
    }


def _attempts(product: Product) -> int:
    found: int = product.query("SELECT count(*) FROM attempt")[0][0]
    return found


def _wait_for(product: Product, count: int) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while _attempts(product) < count:
        if time.monotonic() > deadline:
            raise BenchFailed(f"not all attempts recorded; {_state(product)}")
        time.sleep(0.05)


def _state(product: Product) -> str:
    rows = product.query("SELECT status, count(*) FROM delivery GROUP BY 1 ORDER BY 1")
    events = product.query("SELECT count(*) FROM event")[0][0]
    leases = product.query("SELECT count(*) FROM mailbox WHERE lease_token IS NOT NULL")
    said = "; ".join(product.complaints()) or "no complaint in the logs"
    return f"{events} events, deliveries {dict(rows)}, {leases[0][0]} leases; {said}"


def _check(product: Product, name: str, total: int, sent: int, count: int) -> None:
    """Raise BenchFailed unless everything was delivered once and recorded once."""
    seen = {
        "events": product.query("SELECT count(*) FROM event")[0][0],
        "delivered": product.query(
            "SELECT count(*) FROM delivery"
            " WHERE status = 'delivered' AND attempt_count = 1"
        )[0][0],
        "deliveries": product.query("SELECT count(*) FROM delivery")[0][0],
        "attempts": _attempts(product),
        "delivered events": product.query(
            "SELECT count(DISTINCT event_id) FROM delivery"
        )[0][0],
    }
    wrong = {key: value for key, value in seen.items() if value != total}
    if wrong or sent != count:
        raise BenchFailed(
            f"{name}: not exactly once: {sent} of {count} requests at the receiver, "
            f"{wrong} instead of {total} in the database; {_state(product)}"
        )


def triggers(ground: Ground) -> Result:
    """Accept signals of a tenant with budgets and rules, beside delivery.

    The rules that hold by default are there each time.
    """
    result = Result({})
    for count, rules in TRIGGERS:
        name = f"triggers_{count}" + (f"_rules_{rules}" if rules else "")
        ground.say(f"{name}: starting workers")
        with ground.bench.product(ground.crew) as product:
            product.budgets(count, ground.nginx.url("b"))
            product.rules(rules)
            _signals(ground, product, "warm", _WARM_EVENTS)
            product.query("CHECKPOINT")
            ground.say(f"{name}: {EVENTS} signals")
            with ground.spies.on(name, product):
                rate, used = _signals(ground, product, name, EVENTS)
            ground.spies.statements(name, product)
            _check_charges(product, count)
            result.figures[name] = rate
            result.cpu_s |= {f"{name} {key}": value for key, value in used.items()}
            result.remarks += product.complaints()
    return result


def _signals(
    ground: Ground, product: Product, name: str, count: int
) -> tuple[float, dict[str, float]]:
    """Return signals a second, first XADD to the last one charged and delivered."""
    charged = _charged(product) + count
    order = _order(product, name, count, 0.0) | {
        "endpoints": 1,
        "tenants": 1,
        "signals": True,
    }
    with helpers.producer(order) as producer:
        usage = Usage(product.pids | {"producer": producer.pid})
        producer.tell("go")
        began, _ = producer.hear()
        deadline = time.monotonic() + _TIMEOUT_S
        while _charged(product) < charged or _pending(product):
            if time.monotonic() > deadline:
                raise BenchFailed(f"{name}: {_charged(product)} of {charged} charged")
            time.sleep(_SENT_POLL_S)
        ended = time.monotonic()
        return count / (ended - began), usage.so_far()


def _charged(product: Product) -> int:
    """Return how many signals the budget has that was made last."""
    rows = product.query(
        "SELECT coalesce(max(requests), 0) FROM budget_spend WHERE budget_id ="
        " (SELECT id FROM budget ORDER BY id DESC LIMIT 1)"
    )
    return int(rows[0][0])


def _pending(product: Product) -> int:
    rows = product.query("SELECT count(*) FROM delivery WHERE status = 'pending'")
    return int(rows[0][0])


def _check_charges(product: Product, budgets: int) -> None:
    """Raise BenchFailed unless each budget has every signal, to the last digit."""
    total = EVENTS + _WARM_EVENTS
    exact = (total - total // 20) * Decimal("0.0000051")
    rows = product.query(
        "SELECT count(*), min(requests), max(requests), min(spent), max(spent)"
        " FROM budget_spend"
    )
    wanted = (budgets, total, total, exact, exact)
    if rows[0] != wanted:
        raise BenchFailed(f"charged {rows[0]}, and not {wanted}")
    told = product.query(
        "SELECT count(*), count(DISTINCT source_id) FROM event"
        " WHERE starts_with(type, 'budget.')"
    )
    if not told[0][0] == told[0][1] >= budgets:
        raise BenchFailed(f"{told[0]} events of {budgets} budgets")


ALL: dict[str, Callable[[Ground], Result]] = {
    "limit": limit,
    "hot": hot,
    "spread": spread,
    "latency": latency,
    "lists": lists,
    "triggers": triggers,
}
