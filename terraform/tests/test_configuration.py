"""The configuration as it is committed: formatted, valid, logical, and without open security holes.

`terraform test` and checkov take a minute of waiting each: they run beside the apply.
"""

from python_terraform import IsFlagged

from terraform.tests.stack import Background, Stack


def test_it_is_formatted(plain_stack: Stack) -> None:
    """`terraform fmt` would change nothing, tests included."""
    assert plain_stack.run("fmt", "-check", "-recursive", "-diff") == ""


def test_it_is_valid(plain_stack: Stack) -> None:
    """The provider's own schema agrees with every attribute."""
    # (Without the .tftest.hcl files, which `terraform test` reads: for a module that is given two
    # providers `validate` there misses the second.)
    assert "The configuration is valid" in plain_stack.run("validate", no_tests=IsFlagged)


def test_its_logic_holds(logic: Background) -> None:
    """`terraform test` with a mock provider: what must be refused is, and choices choose."""
    out = logic.finish(timeout_s=900)
    assert "0 failed" in out, out


def test_every_environment_holds(environments: dict[str, Background]) -> None:
    """The other environments too are as every environment must be."""
    for environment, background in environments.items():
        out = background.finish(timeout_s=300)
        assert "0 failed" in out, f"{environment}\n{out}"


def test_checkov_finds_nothing(checkov: Background) -> None:
    """No failed check but those waived in place, each waiver with its reason."""
    checkov.finish(timeout_s=300)
