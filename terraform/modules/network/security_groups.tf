# Who may talk to whom. Rules name groups, not addresses; only the load balancer hears the world.

resource "aws_security_group" "alb" {
  #checkov:skip=CKV2_AWS_5:It is given to the load balancer (module edge)
  name        = "${var.name}-alb"
  description = "The load balancer"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-alb" }
}

resource "aws_security_group" "service" {
  #checkov:skip=CKV2_AWS_5:It is given to the tasks (module service)
  name        = "${var.name}-service"
  description = "The tasks: web, worker, migrate"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-service" }
}

resource "aws_security_group" "database" {
  #checkov:skip=CKV2_AWS_5:It is given to Postgres (module database)
  name        = "${var.name}-database"
  description = "Postgres"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-database" }
}

resource "aws_security_group" "cache" {
  #checkov:skip=CKV2_AWS_5:It is given to Redis (module cache)
  name        = "${var.name}-cache"
  description = "Redis"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-cache" }
}

resource "aws_security_group" "endpoints" {
  count = var.nat == "none" ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "AWS services inside the VPC"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-endpoints" }
}

# --- The world to the load balancer --------------------------------------------------------------

# With CloudFront in front nobody else has business here.
data "aws_ec2_managed_prefix_list" "cloudfront" {
  count = var.behind_cloudfront ? 1 : 0

  name = "com.amazonaws.global.cloudfront.origin-facing"
}

resource "aws_vpc_security_group_ingress_rule" "alb_https" {
  security_group_id = aws_security_group.alb.id
  description       = var.behind_cloudfront ? "HTTPS from CloudFront" : "HTTPS from anywhere"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = var.behind_cloudfront ? null : "0.0.0.0/0"
  prefix_list_id    = var.behind_cloudfront ? data.aws_ec2_managed_prefix_list.cloudfront[0].id : null
}

# It answers with a redirect and nothing else.
resource "aws_vpc_security_group_ingress_rule" "alb_http" {
  #checkov:skip=CKV_AWS_260:Port 80 only redirects to HTTPS, for people who type an address
  count = var.behind_cloudfront ? 0 : 1

  security_group_id = aws_security_group.alb.id
  description       = "HTTP from anywhere, to be redirected"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  cidr_ipv4         = "0.0.0.0/0"
}

# --- Inwards, from group to group ----------------------------------------------------------------

locals {
  links = {
    alb-service      = { from = aws_security_group.alb.id, to = aws_security_group.service.id, port = var.service_port, what = "Requests" }
    service-database = { from = aws_security_group.service.id, to = aws_security_group.database.id, port = 5432, what = "Postgres" }
    service-cache    = { from = aws_security_group.service.id, to = aws_security_group.cache.id, port = 6379, what = "Redis" }
  }

  # Only where there are endpoints; the groups above are there in every environment.
  endpoint_links = { for n, group in aws_security_group.endpoints : "service-endpoints" => group.id }
}

resource "aws_vpc_security_group_egress_rule" "link" {
  for_each = local.links

  security_group_id            = each.value.from
  referenced_security_group_id = each.value.to
  description                  = "${each.value.what} (${each.key})"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "link" {
  for_each = local.links

  security_group_id            = each.value.to
  referenced_security_group_id = each.value.from
  description                  = "${each.value.what} (${each.key})"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

# --- The tasks to AWS ----------------------------------------------------------------------------

resource "aws_vpc_security_group_egress_rule" "service_endpoints" {
  for_each = local.endpoint_links

  security_group_id            = aws_security_group.service.id
  referenced_security_group_id = each.value
  description                  = "AWS services inside the VPC"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_service" {
  for_each = local.endpoint_links

  security_group_id            = each.value
  referenced_security_group_id = aws_security_group.service.id
  description                  = "The tasks"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "service_s3" {
  security_group_id = aws_security_group.service.id
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  description       = "S3 by its gateway endpoint"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# AWS's addresses can't be named; with a NAT it is port 443 of anywhere.
resource "aws_vpc_security_group_egress_rule" "service_internet" {
  count = var.nat == "none" ? 0 : 1

  security_group_id = aws_security_group.service.id
  cidr_ipv4         = "0.0.0.0/0"
  description       = "AWS services through the NAT"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
