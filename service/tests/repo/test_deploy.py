"""What is deployed beside the service, held to the service: metrics, alerts, runbook, image."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from livetally.base.config import Config, variables
from livetally.worker.app import create_worker
from service.tests.support.paths import ROOT
from service.tests.support.server import Service

DEPLOY = ROOT / "service" / "deploy"
ALERTS = DEPLOY / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "livetally.json"
_OURS = re.compile(r"\b(?:livetally|process)_[a-z_]+\b")


def expressions() -> dict[str, str]:
    """Every expression of the dashboard and of the rules, by where it stands."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels
        if panel["type"] != "row"
        for target in panel["targets"]
    }
    rules = re.split(r"^ +- alert: (\w+)$", ALERTS.read_text("utf-8"), flags=re.MULTILINE)[1:]
    for name, rule in zip(rules[::2], rules[1::2], strict=True):
        (expr,) = re.findall(r"expr: (.*?)\n +(?:for|labels):", rule, re.DOTALL)
        found[name] = expr
    return found


def alerts() -> list[str]:
    return re.findall(r"^ +- alert: (\w+)$", ALERTS.read_text("utf-8"), re.MULTILINE)


async def exported(service: Service) -> dict[str, set[str]]:
    """Every sample that the service exports, and the labels it can have."""
    await service.post({"type": "click", "subject": "red"})
    async with service.live() as live:
        await live.subscribe(1, {"totals": "click"})
        async with service.http.get("/metrics") as response:
            text = await response.text()
    return _samples(text)


def _samples(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        names = {
            "counter": (f"{family.name}_total",),
            "histogram": tuple(f"{family.name}_{part}" for part in ("bucket", "sum", "count")),
        }.get(family.type, (family.name,))
        for name in names:
            found.setdefault(name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def _family(sample: str) -> str:
    return re.sub(r"_(total|bucket|sum|count|created)$", "", sample)


async def test_every_metric_is_shown_and_every_one_shown_is_exported(service: Service) -> None:
    """A panel or a rule that asks for a metric that isn't there is empty and quiet for ever; and
    nothing that the service tells of itself is told to nobody."""
    there = await exported(service)
    for where, expression in expressions().items():
        missing = set(_OURS.findall(expression)) - there.keys()
        assert not missing, f"{where}: {missing}"
    shown = {_family(name) for text in expressions().values() for name in _OURS.findall(text)}
    ours = {_family(name) for name in there if name.startswith("livetally_")}
    assert len(ours) > 30
    assert ours <= shown, ours - shown


def test_panels_have_each_their_place() -> None:
    """What Grafana needs of a dashboard: an id and a place of its own for each panel, and the
    source by the name that it is provisioned under."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        place = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not place & taken, panel["title"]
        assert max(x for x, _ in place) < 24, panel["title"]
        taken |= place
    provisioned = DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(provisioned.read_text("utf-8"))["datasources"]
    shown = [panel for panel in panels if panel["type"] != "row"]
    used = {each["datasource"]["uid"] for panel in shown for each in (panel, *panel["targets"])}
    assert used == {source["uid"]}


async def test_the_worker_exports_the_same(
    service: Service, redis_url: str, aiohttp_client: Any, tmp_path: Path
) -> None:
    """One set of metrics for both: a dashboard needs not know who counts what."""
    config = Config(
        database_url=service.database_url, redis_url=redis_url, archive_url=str(tmp_path)
    )
    client = await aiohttp_client(create_worker(config))
    worker = _samples(await (await client.get("/metrics")).text())
    names = {name for text in expressions().values() for name in _OURS.findall(text)}
    assert names <= worker.keys()


def test_labels_are_those_of_the_code() -> None:
    """What rules and panels group and filter by are labels that the metric has."""
    source = (ROOT / "service" / "livetally" / "ops" / "metrics.py").read_text("utf-8")
    declared = re.findall(
        r"(?:Counter|Gauge|Histogram)\(\s*\"(\w+)\",\s*\"[^\"]*\",\s*(?:\[([^\]]*)\])?", source
    )
    labels = {name: set(re.findall(r"\w+", given)) for name, given in declared}
    assert len(labels) > 15
    always = {"le", "job", "instance", "alertname", "alertstate"}
    for where, expression in expressions().items():
        metrics = {_family(name) for name in _OURS.findall(expression)}
        by = {x for each in re.findall(r"by \(([^)]*)\)", expression) for x in each.split(", ")}
        by |= set(re.findall(r"[{,](\w+)=", expression))
        has = set().union(*(labels.get(metric, set()) for metric in metrics)) | always
        assert by <= has, f"{where}: {by - has}"


def test_every_alert_has_its_runbook_and_its_test() -> None:
    """Whoever is called finds what to do by the alert's name; each alert is tried both ways."""
    runbook = (DEPLOY / "README.md").read_text("utf-8")
    tests = (DEPLOY / "alerts_test.yml").read_text("utf-8")
    assert re.findall(r'<a id="(\w+)"></a>`(\w+)`', runbook) == [
        (name.lower(), name) for name in alerts()
    ]
    for name in alerts():
        assert f"runbook: service/deploy/README.md#{name.lower()}\n" in ALERTS.read_text("utf-8")
        assert f"name: {name} calls\n" in tests
        assert f"name: {name} is quiet\n" in tests


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool (Debian: prometheus)")
def test_alerts_call_when_they_must() -> None:
    """Prometheus' own checker, on the rules, their tests and its configuration."""
    for command in (
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
    ):
        ran = subprocess.run(
            ["promtool", *command], cwd=DEPLOY, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def _asked_of_aws() -> Iterator[str]:
    for file in (ROOT / "service" / "livetally").rglob("*.py"):
        text = file.read_text("utf-8")
        yield from re.findall(r"\b(?:client|create_client)\(\s*\"([a-z0-9-]+)\"", text)
        for names in re.findall(r"for service in \(([^)]*)\)", text):
            yield from re.findall(r"\"([a-z0-9-]+)\"", names)


def test_the_image_keeps_every_aws_service_that_is_asked() -> None:
    """The image is without botocore's other 400 services: none of those may be asked for."""
    kept = re.search(r'^ARG AWS_SERVICES="(.*)"$', (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert kept
    asked = set(_asked_of_aws())
    assert {"s3", "sqs", "sns"} <= asked
    assert asked <= set(kept[1].split())


def test_every_knob_is_explained() -> None:
    """What docker-compose.yml takes from outside is in .env.example with the same default, and
    nothing else is; those of ours are settings of the service, or named here."""
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    knobs = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", compose))
    example = (ROOT / ".env.example").read_text("utf-8")
    assert knobs == dict(re.findall(r"^#(\w+)=(.*)$", example, re.MULTILINE))
    of_compose = {
        "LIVETALLY_HTTP_PORT",
        "LIVETALLY_PROXY",
        "LIVETALLY_TASKS",
        "LIVETALLY_MEMORY",
        "LIVETALLY_IMAGE",
        "LIVETALLY_REVISION",
        "LIVETALLY_VERSION",
    }
    settings = {name: default for name, default, _ in variables()}
    for name in set(knobs) - of_compose:
        if name.startswith("LIVETALLY_"):
            assert settings[name] == knobs[name], name


def services() -> dict[str, Any]:
    """docker-compose.yml's, of every profile."""
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    found: dict[str, Any] = stack["services"]
    return found


@pytest.mark.parametrize("name", services())
def test_every_container_is_locked_down(name: str) -> None:
    """Also those of profiles that no test can start, and of services that somebody adds: read-only,
    without rights or root, within limits, restarted, looked after, and not published."""
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    # The image of ours has a user of its own (the stack's test asks it).
    ours = service["image"] == "${LIVETALLY_IMAGE:-livetally:latest}"
    assert ours or re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert bool(service.get("ports")) == (name == "proxy")
    if service["restart"] == "no":
        assert "deploy" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
        # The master counts its workers.
        assert ours or "healthcheck" in service or name == "locust-worker"
    for each in service.get("volumes", []):
        source, _, options = each.partition(":")
        assert not source.startswith("/"), each
        # Files of the checkout are only read; secrets are written by who makes them.
        maker = name in ("secrets", "load-keys")
        assert options.endswith(":ro") or source.endswith("-data") or maker, each


def test_only_the_proxy_has_a_way_outside() -> None:
    """One port, on this machine only; every other network leads nowhere."""
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert stack["services"]["proxy"]["ports"] == ["127.0.0.1:${LIVETALLY_HTTP_PORT:-8080}:8080"]
    outside = {name for name, each in stack["networks"].items() if not each.get("internal")}
    assert outside == {"edge"}
    on = {n for n, each in stack["services"].items() if "edge" in each.get("networks", [])}
    assert on == {"proxy"}


def test_passwords_are_made_once(tmp_path: Path) -> None:
    """Long, all different, and kept; what they are written into is of the newest version."""
    whose = ("owner", "service", "redis", "grafana")
    for name in whose:
        (tmp_path / name).mkdir()

    def make() -> dict[str, str]:
        subprocess.run(["sh", DEPLOY / "make-secrets", tmp_path], check=True)
        files = (file for file in tmp_path.rglob("*") if file.is_file())
        return {str(file.relative_to(tmp_path)): file.read_text("utf-8") for file in files}

    first = make()
    passwords = {first[f"{name}/password"].strip() for name in whose}
    assert len(passwords) == 4
    assert {len(each) for each in passwords} == {32}
    for part, used_in in (("owner", "database_url"), ("service", "database_url")):
        assert f":{first[f'{part}/password'].strip()}@postgres:" in first[f"{part}/{used_in}"]
    secret = first["redis/password"].strip()
    assert f":{secret}@redis:" in first["service/redis_url"]
    assert f"requirepass {secret}\n" in first["redis/redis.conf"]
    (tmp_path / "redis" / "redis.conf").write_text("an older version's", "utf-8")
    (tmp_path / "grafana" / "password").write_text("", "utf-8")  # the machine went down just then
    second = make()
    assert second.keys() == first.keys()
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"grafana/password"}
    assert len(second["grafana/password"].strip()) == 32


def test_nothing_secret_can_enter_an_image() -> None:
    """The build sees only what is named; and what is named holds no keys or passwords."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {"**/.env*", "frontend/node_modules"} <= set(rules)
    copied = re.findall(
        r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    allowed = {rule[1:].replace("*.txt", "") for rule in rules if rule.startswith("!")}
    sources = " ".join(copied).split()
    for source in sources:
        assert any(source.startswith(each) for each in allowed), source
    for each in allowed:  # and nothing else
        assert any(source.startswith(each) for source in sources), each
