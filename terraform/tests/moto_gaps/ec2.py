"""EC2: a rule that names a group or a prefix list forgets its description."""

from typing import Any

from moto.ec2.models.security_groups import SecurityGroupRule


def fill() -> None:
    init_of_moto = SecurityGroupRule.__init__

    def init(rule: SecurityGroupRule, *values: Any, **named: Any) -> None:
        init_of_moto(rule, *values, **named)
        peers = [rule.ip_range, *values, *named.values()]
        rule.told = next(
            (p["Description"] for p in peers if isinstance(p, dict) and p.get("Description")), None
        )

    SecurityGroupRule.__init__ = init
    SecurityGroupRule.description = property(lambda rule: rule.told)
