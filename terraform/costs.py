"""What an installation costs a month, computed: unit prices x the load model x sizes.

    python3 terraform/costs.py        prints README's table (a test holds the two together)

The unit prices are the only numbers from outside: AWS's list prices on demand for us-east-1 in US
dollars, as they stood in mid-2025. Other regions differ by up to a fifth; savings plans, reserved
instances and private prices take off a third to a half. Ask AWS before you sign anything.
"""

from typing import NamedTuple

HOURS = 730
SECONDS = HOURS * 3600
GB = 1e9

PRICES = {
    "Fargate ARM, vCPU-hour": 0.03238,
    "Fargate ARM, GB-hour": 0.00356,
    "load balancer, hour": 0.0225,
    "load balancer, capacity unit-hour": 0.008,
    "NAT, hour": 0.045,
    "NAT, GB": 0.045,
    "traffic out, GB (first 10 TB)": 0.09,
    "traffic out, GB (next 40 TB)": 0.085,
    "traffic out, GB (next 100 TB)": 0.07,
    "traffic out, GB (beyond)": 0.05,
    "CloudFront, million requests": 1.00,
    "CloudFront, GB (first 10 TB)": 0.085,
    "CloudFront, GB (next 40 TB)": 0.08,
    "CloudFront, GB (next 100 TB)": 0.06,
    "CloudFront, GB (beyond)": 0.04,
    "WAF, ACL": 5.0,
    "WAF, rule": 1.0,
    "WAF, million requests": 0.60,
    "db.t4g.small, hour": 0.032,
    "db.r8g.xlarge, hour": 0.478,
    "db.r8g.8xlarge, hour": 3.824,
    "RDS gp3, GB-month": 0.115,
    "cache.t4g.micro, hour": 0.016,
    "cache.m7g.large, hour": 0.158,
    "S3, GB-month": 0.023,
    "S3 Glacier IR, GB-month": 0.004,
    "CloudWatch, GB of logs": 0.50,
    "CloudWatch, metric": 0.30,
    "CloudWatch, alarm": 0.10,
    "KMS key and two secrets": 1.80,
}

# --- The load model: what one viewer does --------------------------------------------------------

#: Of the viewers at the peak, how many there are on average over the month.
MEAN_OF_PEAK = 0.4
#: A dashboard's frame: 230 bytes of JSON (the benchmark's), and what TCP and TLS add.
FRAME_BYTES = 230 + 90
#: Something changes that a viewer looks at. (25 a second at most; quiet dashboards have fewer.)
FRAMES_A_SECOND = 0.5
#: A viewer does something that is counted once a minute.
EVENTS_A_SECOND = 1 / 60
#: In the archive, as zstd Parquet; in Postgres with ids, counters and indexes.
ARCHIVED_BYTES, STORED_BYTES = 25, 400
#: Days that Postgres keeps of raw events; months that the archive is kept.
STORED_DAYS, ARCHIVED_MONTHS = 7, 12
#: A log line of 300 bytes for each hundredth event, beside the metrics.
LOGGED_BYTES = 3


class Size(NamedTuple):
    """An installation, as a tfvars file would say; `cells` of them side by side."""

    viewers: int
    cells: int
    tasks: float  # of web, at the peak; autoscaling follows the viewers
    vcpu: float
    memory_gb: float
    database: str
    multi_az: bool
    disk_gb: int
    cache: str
    cache_nodes: int
    nats: int
    cloudfront: bool


SIZES = [
    Size(1_000, 1, 1, 0.5, 1, "db.t4g.small", False, 20, "cache.t4g.micro", 1, 1, False),
    Size(100_000, 1, 10, 1, 2, "db.r8g.xlarge", True, 500, "cache.m7g.large", 3, 3, True),
    Size(10_000_000, 3, 334, 1, 2, "db.r8g.8xlarge", True, 6000, "cache.m7g.large", 3, 3, False),
]


def monthly(size: Size) -> dict[str, float]:
    """Dollars a month by what they are for."""
    viewers = size.viewers * MEAN_OF_PEAK
    events = viewers * EVENTS_A_SECOND * SECONDS
    out_gb = viewers * FRAMES_A_SECOND * FRAME_BYTES * SECONDS / GB
    # Behind the load balancer tasks grow and shrink with the viewers, never below a tenth.
    tasks = max(1, size.tasks * (MEAN_OF_PEAK + 0.1)) * size.cells
    copies = 2 if size.multi_az else 1
    disk_gb = max(size.disk_gb * size.cells, events / 30 * STORED_DAYS * STORED_BYTES / GB)
    archive_gb = events * ARCHIVED_BYTES / GB
    return {
        "tasks": HOURS * (tasks + size.cells) * _task(size),
        "Postgres": size.cells * copies * HOURS * PRICES[f"{size.database}, hour"]
        + copies * disk_gb * PRICES["RDS gp3, GB-month"],
        "Redis": size.cells * size.cache_nodes * HOURS * PRICES[f"{size.cache}, hour"],
        "load balancer, WAF": size.cells * HOURS * PRICES["load balancer, hour"]
        + HOURS * _capacity_units(viewers, out_gb) * PRICES["load balancer, capacity unit-hour"]
        + size.cells * _web_acl(events / size.cells, rules=4),
        "CloudFront, its WAF": size.cells * _cloudfront(events / size.cells)
        if size.cloudfront
        else 0,
        "NAT": size.cells * size.nats * HOURS * PRICES["NAT, hour"]
        + events * LOGGED_BYTES / GB * PRICES["NAT, GB"],
        "archive": archive_gb * 3 * PRICES["S3, GB-month"]
        + archive_gb * (ARCHIVED_MONTHS - 3) * PRICES["S3 Glacier IR, GB-month"],
        "logs, alarms, keys": events * LOGGED_BYTES / GB * PRICES["CloudWatch, GB of logs"]
        + size.cells * (10 * PRICES["CloudWatch, metric"] + 20 * PRICES["CloudWatch, alarm"])
        + size.cells * PRICES["KMS key and two secrets"],
        "traffic out": _traffic(out_gb, size.cloudfront),
    }


def _task(size: Size) -> float:
    cpu = size.vcpu * PRICES["Fargate ARM, vCPU-hour"]
    return cpu + size.memory_gb * PRICES["Fargate ARM, GB-hour"]


def _capacity_units(viewers: float, out_gb: float) -> float:
    """A unit is 3,000 connections, 25 new ones a second or 1 GB an hour: the most of them counts.

    Events come over connections that are kept.
    """
    return max(viewers / 3000, out_gb / HOURS)


def _web_acl(requests: float, rules: int) -> float:
    fixed = PRICES["WAF, ACL"] + rules * PRICES["WAF, rule"]
    return fixed + requests / 1e6 * PRICES["WAF, million requests"]


def _cloudfront(requests: float) -> float:
    """Each request is one there too, and looked at by a web ACL of its own; 10 million are free."""
    paid = max(0, requests / 1e6 - 10)
    return paid * PRICES["CloudFront, million requests"] + _web_acl(requests, rules=2)


def _traffic(out_gb: float, cloudfront: bool) -> float:
    """By tiers, the first 100 GB free, of CloudFront's a TB. (What it fetches from AWS is free.)"""
    what = "CloudFront" if cloudfront else "traffic out"
    left = out_gb - (1_000 if cloudfront else 100)
    dollars = 0.0
    for tier, gb in (("first 10 TB", 10_000), ("next 40 TB", 40_000), ("next 100 TB", 100_000)):
        part = max(0, min(left, gb))
        dollars += part * PRICES[f"{what}, GB ({tier})"]
        left -= part
    return dollars + max(0, left) * PRICES[f"{what}, GB (beyond)"]


def table() -> str:
    """Markdown: a row for each purpose, a column for each size."""
    costs = [monthly(size) for size in SIZES]
    head = ["US dollars a month", *(f"{size.viewers:,} viewers" for size in SIZES)]
    peak = ["events a second, at the peak"]
    peak += [f"{size.viewers * EVENTS_A_SECOND:,.0f}" for size in SIZES]
    rows = [[what, *(f"{cost[what]:,.0f}" for cost in costs)] for what in costs[0]]
    totals = [sum(cost.values()) for cost in costs]
    rows.append(["**all**", *(f"**{total:,.0f}**" for total in totals)])
    each = [f"{total / size.viewers:.3f}" for size, total in zip(SIZES, totals, strict=True)]
    rows.append(["a viewer at the peak", *each])
    lines = [head, ["---", *("---:" for _ in SIZES)], peak, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(table())
