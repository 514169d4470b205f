"""Where the real Terraform and the real AWS provider are, and one whole environment to look at.

Nothing here needs an account or the internet: the cloud is a moto server on this machine.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terraform.tests.cloud import ROOT, Moto
from terraform.tests.stack import AURORA, Background, Missing, Stack, terraform_and_mirror

#: Where `make terraform-test` has installed it, with pins of its own.
CHECKOV = Path(os.environ.get("CHECKOV", ROOT.parent / ".venv" / "checkov" / "bin" / "checkov"))

ENVIRONMENTS = os.environ.get("ENVIRONMENTS", "dev").split()


@pytest.fixture(scope="session")
def tools() -> tuple[str, Path]:
    """The Terraform binary and the provider's mirror; without them the test is skipped by name."""
    try:
        return terraform_and_mirror()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def plain_stack(tools: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The configuration as it is committed, initialised, with no cloud behind it."""
    return Stack(*tools, tmp_path_factory.mktemp("plain"), "prod")


@pytest.fixture(scope="session")
def logic(plain_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Background:
    """`terraform test` of what is prod but for one slip, started at once."""
    return plain_stack.start(tmp_path_factory.mktemp("logic") / "log", "test")


@pytest.fixture(scope="session")
def environments(
    logic: Background, tools: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Background]:
    """The same of the other environments, as they are."""
    found = {}
    for name in ("dev", "staging"):
        directory = tmp_path_factory.mktemp(f"logic-{name}")
        stack = Stack(*tools, directory / "stack", name)
        found[name] = stack.start(directory / "log", "test", "-filter=tests/environment.tftest.hcl")
    return found


@pytest.fixture(scope="session")
def aurora(
    tools: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, Background]]:
    """The other database, with what it stands on, being applied to a cloud of its own."""
    directory = tmp_path_factory.mktemp("aurora")
    with Moto(directory / "moto.log") as moto:
        moto.make_hosted_zone("livetally.example")
        stack = Stack(*tools, directory / "stack", "dev", moto)
        options = ["-input=false", "-auto-approve", "-target=module.database"]
        applying = stack.start(
            directory / "log", "apply", *options, f"-var=database={json.dumps(AURORA)}"
        )
        yield stack, applying
        applying.end()


@pytest.fixture(scope="session")
def checkov(tmp_path_factory: pytest.TempPathFactory) -> Background:
    """checkov over everything, as prod."""
    if not CHECKOV.exists():
        pytest.skip("checkov isn't installed: `make terraform-test` does that")
    options = ["--framework", "terraform", "--compact", "--quiet", "--skip-download"]
    return Background(
        [str(CHECKOV), "--directory", ".", *options, "--var-file", "environments/prod.tfvars"],
        ROOT,
        tmp_path_factory.mktemp("checkov") / "log",
    )


@pytest.fixture(scope="session")
def beside(request: pytest.FixtureRequest) -> None:
    """What waits for nobody is under way while the cloud is waited for."""
    for name in ("aurora", "logic", "environments", *(["checkov"] if CHECKOV.exists() else [])):
        request.getfixturevalue(name)


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def applied(
    request: pytest.FixtureRequest,
    beside: None,
    tools: tuple[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """An environment, applied to an empty cloud. The last test destroys it."""
    directory = tmp_path_factory.mktemp(request.param)
    with Moto(directory / "moto.log") as moto:
        moto.make_hosted_zone("livetally.example")
        stack = Stack(*tools, directory / "stack", request.param, moto)
        stack.apply()
        yield stack


@pytest.fixture(scope="session")
def replanned(applied: Stack) -> tuple[dict[str, Any], set[str]]:
    """A second plan when nothing was changed, and all that it called."""
    with applied.moto.calls() as calls:
        plan = applied.plan()
    return plan, calls


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The applied environment first, its end last; then what ran beside."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[int, str, int]:
    waits = "applied" in getattr(item, "fixturenames", ())
    environment = item.callspec.params.get("applied", "") if hasattr(item, "callspec") else ""
    return (0 if waits else 1, str(environment), int("destroy" in item.name))
