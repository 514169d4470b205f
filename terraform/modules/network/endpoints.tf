# AWS's services without the internet. S3's is free and carries image layers and the archive; the
# others cost by the hour and zone, and are what takes the NAT's place.

locals {
  # A shell in a task talks to Session Manager, under our key.
  shell_endpoints     = var.exec_enabled ? ["kms", "ssmmessages"] : []
  interface_endpoints = var.nat == "none" ? toset(concat(["ecr.api", "ecr.dkr", "logs", "secretsmanager", "sqs"], local.shell_endpoints)) : toset([])
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]

  tags = { Name = "${var.name}-s3" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.interface_endpoints

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${data.aws_region.current.name}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  security_group_ids  = [aws_security_group.endpoints[0].id]

  tags = { Name = "${var.name}-${each.key}" }
}
