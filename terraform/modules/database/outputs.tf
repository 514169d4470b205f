locals {
  host = one(concat(aws_db_instance.this[*].address, aws_rds_cluster.this[*].endpoint))
  # RDS refuses what isn't TLS; whose certificate it is can be checked once the image carries
  # Amazon's bundle (sslmode=verify-full).
  place = "${local.host}:5432/livetally?sslmode=require"

  secrets = concat(
    flatten(aws_db_instance.this[*].master_user_secret),
    flatten(aws_rds_cluster.this[*].master_user_secret),
  )
}

output "identifier" {
  description = "The RDS instance's or the Aurora cluster's name"
  value       = one(concat(aws_db_instance.this[*].identifier, aws_rds_cluster.this[*].cluster_identifier))
}

output "host" {
  description = "Where Postgres is written to"
  value       = local.host
}

output "owner_url" {
  description = "Postgres for `migrate`, as the owner; the password is in the secret"
  value       = "postgresql://livetally@${local.place}"
}

output "service_url" {
  description = "Postgres for the tasks; the password is in the secret"
  value       = "postgresql://livetally_service@${local.place}"
}

output "owner_secret_arn" {
  description = "The secret that RDS keeps the owner's password in, as JSON with the field `password`"
  value       = local.secrets[0].secret_arn
}

output "service_secret_arn" {
  description = "The secret with the service's password, as JSON with the field `password`"
  value       = aws_secretsmanager_secret.service.arn
}

output "service_secret_version_id" {
  description = "Its version: a new one is a new task definition, so that a rotation reaches the tasks"
  value       = aws_secretsmanager_secret_version.service.version_id
}

output "dimensions" {
  description = "What CloudWatch knows the database by"
  value = merge(
    { for instance in aws_db_instance.this : "DBInstanceIdentifier" => instance.identifier },
    { for cluster in aws_rds_cluster.this : "DBClusterIdentifier" => cluster.cluster_identifier },
  )
}
