"""The firewall's rate limit: whom it counts, and where."""

from typing import Any

from terraform.tests.stack import Stack


def test_who_asks_too_often_is_known_by_his_own_address(applied: Stack) -> None:
    """Behind CloudFront only that knows it; nobody is blocked for what somebody else wrote."""
    edge, waf = applied.outputs()["edge"], applied.moto.client("wafv2")
    here = waf.get_web_acl_for_resource(ResourceArn=edge["load_balancer_arn"])["WebACL"]
    if not edge["distribution_id"]:
        assert _rate(here) == {"AggregateKeyType": "IP", "Limit": edge["rate_limit"]}
        return
    assert _rate(here)["AggregateKeyType"] == "CUSTOM_KEYS"
    distribution = applied.moto.client("cloudfront").get_distribution(Id=edge["distribution_id"])
    arn = distribution["Distribution"]["DistributionConfig"]["WebACLId"]
    assert arn == edge["cloudfront_web_acl_arn"]
    assert ":us-east-1:" in arn
    assert ":global/" in arn
    first = applied.moto.client("wafv2", "us-east-1")
    name, identity = arn.split("/")[-2:]
    there = first.get_web_acl(Name=name, Id=identity, Scope="CLOUDFRONT")["WebACL"]
    assert _rate(there) == {"AggregateKeyType": "IP", "Limit": edge["rate_limit"]}


def _rate(acl: dict[str, Any]) -> dict[str, Any]:
    (rule,) = [each for each in acl["Rules"] if each["Name"] == "rate"]
    assert "Block" in rule["Action"]
    found = rule["Statement"]["RateBasedStatement"]
    return {name: found[name] for name in ("AggregateKeyType", "Limit")}
