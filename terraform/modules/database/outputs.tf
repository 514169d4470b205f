locals {
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
  value       = one(concat(aws_db_instance.this[*].address, aws_rds_cluster.this[*].endpoint))
}

output "password_secret_arn" {
  description = "The secret that RDS keeps the password in, as JSON with the field `password`"
  value       = local.secrets[0].secret_arn
}

output "dimensions" {
  description = "What CloudWatch knows the database by"
  value = merge(
    { for instance in aws_db_instance.this : "DBInstanceIdentifier" => instance.identifier },
    { for cluster in aws_rds_cluster.this : "DBClusterIdentifier" => cluster.cluster_identifier },
  )
}
