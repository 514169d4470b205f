"""Slips in subnets, routes and security groups."""

from typing import Any

from inspec.tests.cloud import Cloud, Made, Slip, between, kept, told

WORLD = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


def route_table(cloud: Cloud, kind: str) -> Any:
    tables = cloud.client("ec2").describe_route_tables(
        Filters=[
            {"Name": "association.subnet-id", "Values": [cloud.inputs[f"{kind}_subnet_ids"][0]]}
        ]
    )
    return tables["RouteTables"][0]


def internet_gateway(cloud: Cloud) -> str:
    found = cloud.client("ec2").describe_internet_gateways()["InternetGateways"]
    vpc = cloud.inputs["vpc_id"]
    return str(next(g for g in found if g["Attachments"][0]["VpcId"] == vpc)["InternetGatewayId"])


def way_to_internet(cloud: Cloud) -> Made:
    table, ec2 = route_table(cloud, "private"), cloud.client("ec2")
    nat = next(route["NatGatewayId"] for route in table["Routes"] if "NatGatewayId" in route)
    return told(
        ec2.replace_route,
        {"GatewayId": internet_gateway(cloud)},
        {"NatGatewayId": nat},
        RouteTableId=table["RouteTableId"],
        DestinationCidrBlock="0.0.0.0/0",
    )


def data_to_internet(cloud: Cloud) -> Made:
    ec2, table = cloud.client("ec2"), route_table(cloud, "data")["RouteTableId"]
    where = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    gateway = internet_gateway(cloud)
    return between(
        lambda: ec2.create_route(**where, GatewayId=gateway), lambda: ec2.delete_route(**where)
    )


def ssh_into(group: str) -> Slip:
    def slip(cloud: Cloud) -> Made:
        ec2 = cloud.client("ec2")
        return between(
            ec2.authorize_security_group_ingress,
            ec2.revoke_security_group_ingress,
            GroupId=cloud.inputs["security_group_ids"][group],
            IpPermissions=WORLD,
        )

    return slip


def ssh_into_default(cloud: Cloud) -> Made:
    ec2 = cloud.client("ec2")
    (group,) = ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": [cloud.inputs["vpc_id"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
    )["SecurityGroups"]
    return between(
        ec2.authorize_security_group_ingress,
        ec2.revoke_security_group_ingress,
        GroupId=group["GroupId"],
        IpPermissions=WORLD,
    )


def ssh_out_of_tasks(cloud: Cloud) -> Made:
    ec2 = cloud.client("ec2")
    return between(
        ec2.authorize_security_group_egress,
        ec2.revoke_security_group_egress,
        GroupId=cloud.inputs["security_group_ids"]["service"],
        IpPermissions=WORLD,
    )


def another_zone(cloud: Cloud) -> Made:
    backend = cloud.memory("ec2")
    first, second = (backend.get_subnet(each) for each in cloud.inputs["public_subnet_ids"][:2])
    return kept(first, "_availability_zone", second._availability_zone)


NETWORK: dict[str, Slip] = {
    "livetally-vpc-01": lambda cloud: kept(
        next(iter(cloud.memory("ec2").flow_logs.values())), "traffic_type", "REJECT"
    ),
    "livetally-vpc-02": lambda cloud: told(
        cloud.client("ec2").modify_subnet_attribute,
        {"MapPublicIpOnLaunch": {"Value": True}},
        {"MapPublicIpOnLaunch": {"Value": False}},
        SubnetId=cloud.inputs["public_subnet_ids"][0],
    ),
    "livetally-vpc-03": data_to_internet,
    "livetally-vpc-04": way_to_internet,
    "livetally-vpc-05": another_zone,
    "livetally-vpc-06": lambda cloud: kept(
        next(iter(cloud.memory("ec2").nat_gateways.values())), "state", "failed"
    ),
    "livetally-sg-01": ssh_into_default,
    "livetally-sg-02": ssh_into("alb"),
    "livetally-sg-03": ssh_into("service"),
    "livetally-sg-04": ssh_into("database"),
    "livetally-sg-05": ssh_into("cache"),
    "livetally-sg-06": ssh_out_of_tasks,
}
