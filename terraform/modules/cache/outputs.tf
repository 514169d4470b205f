output "replication_group_id" {
  description = "The replication group"
  value       = aws_elasticache_replication_group.this.id
}

output "member_clusters" {
  description = "Its nodes, as CloudWatch knows them"
  value       = [for n in range(var.nodes) : format("%s-%03d", var.name, n + 1)]
}

output "url" {
  description = "Where the service finds Redis; the password is in the secret"
  value       = "rediss://livetally@${aws_elasticache_replication_group.this.primary_endpoint_address}:6379/0"
}

output "password_secret_arn" {
  description = "The secret with the field `password`"
  value       = aws_secretsmanager_secret.password.arn
}

output "password_version_id" {
  description = "Its version: a new one is a new task definition, so that a rotation reaches the tasks"
  value       = aws_secretsmanager_secret_version.password.version_id
}

output "user_group_id" {
  description = "Who may sign in"
  value       = aws_elasticache_user_group.this.user_group_id
}
