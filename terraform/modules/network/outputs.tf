output "vpc_id" {
  description = "The VPC"
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "For the load balancer, a subnet a zone"
  value       = [for zone, _ in local.zones : aws_subnet.public[zone].id]
}

output "private_subnet_ids" {
  description = "For tasks, a subnet a zone"
  value       = [for zone, _ in local.zones : aws_subnet.private[zone].id]
}

output "data_subnet_ids" {
  description = "For Postgres and Redis, a subnet a zone"
  value       = [for zone, _ in local.zones : aws_subnet.data[zone].id]
}

output "security_group_ids" {
  description = "By name: alb, service, database, cache, and endpoints where there are any"
  value = merge(
    {
      alb      = aws_security_group.alb.id
      service  = aws_security_group.service.id
      database = aws_security_group.database.id
      cache    = aws_security_group.cache.id
    },
    { for group in aws_security_group.endpoints : "endpoints" => group.id },
  )
}

output "flow_log_group_name" {
  description = "Where the VPC's traffic is logged"
  value       = aws_cloudwatch_log_group.flow.name
}
