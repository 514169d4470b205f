"""moto's server, and what the AWS provider asks of it that moto doesn't do.

    python moto_server.py -H 127.0.0.1 -p 5601        the flags are moto_server's

moto simulates AWS; the provider's own binary makes every call. For some calls that it makes moto
has no answer, or forgets an attribute it was told: moto_gaps/ has those, a module a service. None
makes up a value that the caller didn't send: what Terraform reads back is what it wrote. moto asks
nobody for rights: MOTO_CALLS names a file to write down what was called.
"""

import os

# Certificates are issued at once, and AWS's own policies are there to be attached.
os.environ.setdefault("MOTO_ACM_VALIDATION_WAIT", "0")
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")

from moto.server import main

from terraform.tests.moto_gaps import (
    athena,
    autoscaling,
    budgets,
    calls,
    cloudfront,
    ec2,
    ecs,
    elasticache,
    iot,
    rds,
    s3,
    sqs,
)


def fill() -> None:
    """Give moto what it lacks, in this process."""
    for service in (
        athena,
        autoscaling,
        budgets,
        calls,
        cloudfront,
        ec2,
        ecs,
        elasticache,
        iot,
        rds,
        s3,
        sqs,
    ):
        service.fill()


if __name__ == "__main__":
    fill()
    main()
