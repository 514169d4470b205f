# Redis: messages between the tasks. It is for speed and never the truth, so nothing is kept.

resource "aws_elasticache_subnet_group" "this" {
  name        = var.name
  description = "Subnets with no way out"
  subnet_ids  = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "this" {
  name        = "${var.name}-redis7"
  family      = "redis7"
  description = "Livetally on Redis 7"

  # (By default a task that can't keep up is cut off at 32 MB, or 8 MB for a minute, which suits us: it
  # reads again from Postgres. A parameter that is set to its default AWS doesn't keep.)

  # A peer that has gone is noticed in a minute.
  parameter {
    name  = "tcp-keepalive"
    value = "60"
  }
}

resource "aws_elasticache_replication_group" "this" {
  #checkov:skip=CKV2_AWS_50:Wherever there is more than one node, and prod must have them (variables.tf)
  replication_group_id = var.name
  description          = "Livetally: messages between tasks"
  engine               = "redis"
  engine_version       = "7.1"
  node_type            = var.node_type
  num_cache_clusters   = var.nodes
  port                 = 6379
  parameter_group_name = aws_elasticache_parameter_group.this.name

  automatic_failover_enabled = var.nodes > 1
  multi_az_enabled           = var.nodes > 1

  subnet_group_name  = aws_elasticache_subnet_group.this.name
  security_group_ids = [var.security_group_id]

  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  user_group_ids             = [aws_elasticache_user_group.this.user_group_id]

  maintenance_window         = "sun:04:30-sun:05:30"
  auto_minor_version_upgrade = true
  snapshot_retention_limit   = 0
  apply_immediately          = true
}

# --- Who may sign in -----------------------------------------------------------------------------

# The provider has no way yet to hand a user a password that the state doesn't hold (the service's
# own is read from Secrets Manager): the state's bucket is encrypted, and Redis keeps nothing.
data "aws_secretsmanager_random_password" "this" {
  password_length     = 48
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "password" {
  #checkov:skip=CKV2_AWS_57:Rotated by the runbook (apply -replace): a rotation function would be code that runs four times a year
  name                    = "${var.name}/redis-password"
  description             = "Redis: the user livetally"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}

resource "aws_secretsmanager_secret_version" "password" {
  secret_id     = aws_secretsmanager_secret.password.id
  secret_string = jsonencode({ username = "livetally", password = data.aws_secretsmanager_random_password.this.random_password })

  # Every plan draws another password; only a new version (-replace) takes it.
  lifecycle {
    ignore_changes = [secret_string]
  }
}

locals {
  password = jsondecode(aws_secretsmanager_secret_version.password.secret_string).password
}

# Our channels, the token buckets of limits (a script, by the server's clock), and no command that
# could harm the server or tell of others. A test runs the service as this user.
resource "aws_elasticache_user" "livetally" {
  user_id       = "${var.name}-livetally"
  user_name     = "livetally"
  engine        = "redis"
  access_string = "on ~livetally* &livetally* -@all +@connection +@pubsub +@read +@write +@scripting +time -@dangerous"

  authentication_mode {
    type      = "password"
    passwords = [local.password]
  }
}

# A group must have a user called `default`; by nature it may do all. Ours is off and may do nothing.
resource "aws_elasticache_user" "default" {
  user_id       = "${var.name}-default"
  user_name     = "default"
  engine        = "redis"
  access_string = "off -@all"

  authentication_mode {
    type      = "password"
    passwords = [local.password]
  }
}

resource "aws_elasticache_user_group" "this" {
  user_group_id = var.name
  engine        = "redis"
  user_ids      = [aws_elasticache_user.default.user_id, aws_elasticache_user.livetally.user_id]
}
