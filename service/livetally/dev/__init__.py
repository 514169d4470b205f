"""All on one machine: for a laptop and for tests.

demo      `make run`
demo_aws  `make run-aws`
servers   Postgres and Redis from wheels
aws       an AWS of one's own: moto's server
"""
