"""What the tests of the real stack share: one of it, up."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from service.deploy.tests.stack import Stack, compose


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Figures that tests have measured (`record_property`); none of them depends on speed."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture(scope="session")
def up() -> Iterator[None]:
    """The stack, built and started; left alone where it runs already (`LIVETALLY_STACK_IS_UP`)."""
    if "LIVETALLY_STACK_IS_UP" in os.environ:
        yield
        return
    compose("build", "--quiet")
    try:
        compose("up", "--detach", "--wait", "--wait-timeout", "120")
        yield
    finally:
        compose("down", "--volumes", "--timeout", "10")


@pytest.fixture
def stack(up: None) -> Stack:
    """The stack, all of it running, with a project of this test's own."""
    compose("up", "--detach", "--wait", "--wait-timeout", "120")
    return Stack()
