"""The InSpec profiles, without InSpec: what they say is whole, and is about what there is.

The profiles themselves are run by `make inspec-test`, where InSpec is installed.
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from livetally.db import sql
from service.tests.support.paths import ROOT

PROFILES = ("aws", "compose")
#: By profile, what ids begin with: the modules' own words.
COMPONENTS = {
    "aws": [
        "vpc",
        "sg",
        "rds",
        "redis",
        "s3",
        "sqs",
        "ecs",
        "ecr",
        "iam",
        "alb",
        "waf",
        "cloudfront",
        "logs",
        "alarms",
        "kms",
        "secrets",
    ],
    "compose": ["container", "http", "postgres", "redis"],
}
#: Of Livetally's own resources only those begin otherwise that have nothing to exist.
WITHOUT_EXIST = ("http(", "json(", '"')


def files(profile: str) -> list[Path]:
    return sorted((ROOT / "inspec" / profile).rglob("*.rb"))


def metadata(profile: str) -> dict[str, Any]:
    text = (ROOT / "inspec" / profile / "inspec.yml").read_text("utf-8")
    return dict(yaml.safe_load(text))


def controls(profile: str) -> dict[str, str]:
    """The text of every control, by id."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / "inspec" / profile / "controls").glob("*.rb")):
        for text in re.split(r"^(?=control )", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            name = text.split('"')[1]
            assert name not in found, f"{name} is there twice"
            found[name] = text
    return found


def all_controls() -> list[Any]:
    return [
        pytest.param(profile, text, id=name.replace("livetally", profile))
        for profile in PROFILES
        for name, text in controls(profile).items()
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_are_ruby(profile: str) -> None:
    """Every file parses."""
    if not (ruby := shutil.which("ruby")):
        pytest.skip("no ruby here (apt install ruby)")
    for file in files(profile):
        ran = subprocess.run([ruby, "-wc", file], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert "warn" not in ran.stderr, ran.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_metadata_is_whole(profile: str) -> None:
    """Everything InSpec, an archive of profiles or a lawyer asks of a profile."""
    said = metadata(profile)
    assert said["name"] == f"livetally-{profile}"
    assert said["maintainer"] == said["copyright"] == "the Livetally authors"
    assert said["license"] == "Apache-2.0"
    assert re.fullmatch(r"\d+\.\d+\.\d+", said["version"])
    assert all(said[name] for name in ("title", "summary"))
    assert said["inspec_version"] == [">= 5.22", "< 6"]
    assert said["supports"] == [{"platform": {"aws": "aws", "compose": "linux"}[profile]}]
    kinds = {"String", "Numeric", "Array", "Hash", "Boolean"}
    for each in said["inputs"]:
        assert each["description"], each
        assert each["type"] in kinds, each
        assert each.get("required") is True or "value" in each, each
    if profile == "aws":
        (pack,) = said["depends"]
        assert pack["url"].endswith("/inspec/inspec-aws/archive/refs/tags/v1.83.63.tar.gz")


@pytest.mark.parametrize(("profile", "text"), all_controls())
def test_controls_say_what_why_and_how(profile: str, text: str) -> None:
    """Id, weight, title, what, why, what to do, whose it is, and where to read on."""
    component = re.match(r'control "livetally-([a-z0-9]+)-\d\d" do\n', text)
    assert component
    assert component[1] in COMPONENTS[profile]
    assert re.search(r"^  impact (0\.[1-9]|1\.0)$", text, re.MULTILINE)
    for line in (
        r'title "[^"]{8,}"',
        r'desc "[^"]{20,}.*"',
        r'desc "rationale", "[^"]{20,}"',
        r'desc "fix", ".{15,}"',
        r'tag component: "[a-z]+", cis: \["CIS .*"\], nist: %w\[[A-Z]{2}-\d+( [A-Z]{2}-\d+)*\]',
        r'ref "[^"]+"',
    ):
        assert re.search(rf"^  {line}$", text, re.MULTILINE), line
    for place in re.findall(r'^  ref "((?:terraform|service)/\S+|\S+\.yml)"', text, re.MULTILINE):
        assert (ROOT / place).exists(), place


@pytest.mark.parametrize(("profile", "text"), all_controls())
def test_controls_avoid_what_passes_falsely(profile: str, text: str) -> None:
    """InSpec answers an unknown property with something that most matchers are content with."""
    assert not re.search(r"^\s*(if|unless|case)\b|\breturn\b", text, re.MULTILINE), "use only_if"
    assert not re.search(r"be_auto_failover|be_nil|be_empty|should_not eq|sqs_managed\b", text)
    # Of a secret that isn't there the pack's resource ends the JSON report.
    assert "aws_secretsmanager_secret(" not in text, "use livetally_secret"
    for line in text.splitlines():
        if re.search(r"\bbe (<|>)", line) and "its(" in line:
            assert "be_a(Integer).and" in line, line
    described = re.split(r"^\s*describe ", text, flags=re.MULTILINE)[1:]
    assert described
    for each in described:
        subject, _, rest = each.partition("\n")
        first = rest.strip().splitlines()[0].strip()
        if not subject.startswith(WITHOUT_EXIST):
            assert first == "it { should exist }", f"{subject}: {first}"
        elif subject.startswith('"'):
            assert first.startswith("subject {"), f"{subject}: {first}"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_control_has_its_slip(profile: str) -> None:
    """Something that makes it red, which `make inspec-test` does where InSpec is installed."""
    tests = ROOT / "inspec" / "tests"
    slips = [*tests.glob(f"{profile}_slips/*.py"), *tests.glob(f"*{profile}*.py")]
    text = "".join(file.read_text("utf-8") for file in slips)
    assert set(re.findall(r'"(livetally-[a-z0-9]+-\d\d)"', text)) == set(controls(profile))


def test_slips_have_a_cloud_to_be_made_in() -> None:
    """The simulated AWS of inspec/tests starts, answers, and has all slips. (It changes moto.)"""
    code = (
        "from inspec.tests import aws_slips, cloud\n"
        "with cloud.Cloud() as here: print(here.another_key())"
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout.startswith("arn:aws:kms:"), ran.stderr


def test_slips_are_of_what_the_files_say() -> None:
    """What is changed in nginx.conf is there, once, and what in docker-compose.yml is a service."""
    from inspec.tests import compose_slips as slips  # reads docker-compose.yml when imported

    conf = (ROOT / "service" / "deploy" / "nginx.conf").read_text("utf-8")
    for was, becomes in slips.PROXY.values():
        assert conf.count(was) == 1, was
        assert becomes != was
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    for change in slips.FILE.values():
        assert set(change) <= set(services)


@pytest.mark.parametrize("profile", PROFILES)
def test_inputs_are_used_and_declared(profile: str) -> None:
    """A misspelt input is no error to InSpec: it is nothing, and what is compared with it fails."""
    text = "".join(file.read_text("utf-8") for file in files(profile))
    kinds = ("public", "private", "data")
    used = set(re.findall(r'input\("([a-z_]+)"\)', text))
    if 'input("#{kind}_subnet_ids")' in text:
        used |= {f"{kind}_subnet_ids" for kind in kinds}
    assert used == {each["name"] for each in metadata(profile)["inputs"]}


def script() -> Any:
    spec = importlib.util.spec_from_file_location("inputs", ROOT / "inspec" / "aws" / "inputs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared_outputs() -> set[str]:
    """OUTPUT and OUTPUT.FIELD of terraform/outputs.tf."""
    text = (ROOT / "terraform" / "outputs.tf").read_text("utf-8")
    found = set()
    for block in re.split(r"^output ", text, flags=re.MULTILINE)[1:]:
        name = block.split('"')[1]
        found |= {name} | {
            f"{name}.{field}" for field in re.findall(r"^    (\w+) +=", block, re.MULTILINE)
        }
    return found


def test_aws_inputs_are_terraforms_outputs() -> None:
    """The script makes exactly the declared inputs, of outputs that Terraform has."""
    inputs = script()
    places = inputs.PLACES | inputs.PERHAPS
    assert set(places.values()) <= declared_outputs()
    outputs: dict[str, Any] = {}
    for place in places.values():
        output, _, field = place.partition(".")
        if field:
            outputs.setdefault(output, {"value": {}})["value"][field] = f"the {place}"
        else:
            outputs[output] = {"value": f"the {place}"}
    outputs["service"]["value"]["repository_url"] = "1.dkr.ecr.eu-central-1.amazonaws.com/tally"
    outputs["github_role_arns"] = {"value": {"plan": "arn:aws:iam::1:role/tally-plan"}}
    outputs["edge"]["value"]["distribution_id"] = None
    made = inputs.inputs(outputs)
    assert set(made) == {each["name"] for each in metadata("aws")["inputs"]}
    assert made["vpc_id"] == "the network.vpc_id"
    assert made["distribution_id"] == ""
    assert made["repository_name"] == "tally"
    assert made["github_role_names"] == {"plan": "tally-plan"}
    del outputs["network"]["value"]["vpc_id"]
    with pytest.raises(SystemExit, match="vpc_id"):
        inputs.inputs(outputs)
    assert json.dumps(made)


def test_compose_inputs_are_the_compose_file() -> None:
    """Services, images, users, networks and limits: as docker-compose.yml has them by default."""
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    inputs = {each["name"]: each.get("value") for each in metadata("compose")["inputs"]}
    running = {name: each for name, each in stack["services"].items() if "profiles" not in each}
    assert set(inputs["services"]) | set(inputs["once"]) == set(running)
    assert set(inputs["once"]) == {n for n, each in running.items() if each.get("restart") == "no"}
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for name, said in (inputs["services"] | inputs["once"]).items():
        each = running[name]
        assert said["image"] == _default(each["image"]), name
        assert said["user"] == each.get("user", "10001:10001"), name
        networks = [each["network_mode"]] if "network_mode" in each else sorted(each["networks"])
        assert said["networks"] == networks, name
    assert "USER 10001:10001" in dockerfile
    for name, said in inputs["services"].items():
        limits = running[name]["deploy"]["resources"]["limits"]
        assert said["pids"] == limits["pids"]
        assert limits["cpus"] == "1.0"
        number, unit = re.fullmatch(r"(\d+)([GM])", _default(limits["memory"])).groups()  # type: ignore[union-attr]
        assert said["memory"] == int(number) * {"G": 1024, "M": 1}[unit], name
        replicas = running[name]["deploy"].get("replicas", 1)
        assert said["tasks"] == int(_default(str(replicas))), name
    assert inputs["project"] == stack["name"]
    assert inputs["migrations"] == sql.migrations()[-1][0]


def _default(value: str) -> str:
    """What compose puts in place of ${NAME:-DEFAULT}."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def test_waivers_are_of_controls_and_say_why() -> None:
    """A waiver names a control, why it is accepted, and until when."""
    for profile in PROFILES:
        for file in sorted((ROOT / "inspec" / profile / "waivers").glob("*.yml")):
            waivers = yaml.safe_load(file.read_text("utf-8"))
            assert set(waivers) <= set(controls(profile)), file
            for each in waivers.values():
                assert len(each["justification"]) > 40, file
                assert each["run"] is True, file
                assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(each["expiration_date"])), file
