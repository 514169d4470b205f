# Postgres 16, the truth: one RDS instance (with a standby in prod), or Aurora Serverless v2.

data "aws_caller_identity" "current" {}

locals {
  aurora = var.engine == "aurora"

  # What the benchmark found to matter, and what must hold: a 2xx means on disk.
  parameters = merge(
    {
      "rds.force_ssl" = "1"
      # Statements of a second or more: what the alarm on commit time leads to.
      log_min_duration_statement = "1000"
      log_lock_waits             = "1"
      # A session whose task died in the middle of a transaction must not hold its rows for ever.
      idle_in_transaction_session_timeout = "60000"
      # Event ids come in random order and leave by the day: vacuum in small, frequent steps.
      autovacuum_vacuum_scale_factor = "0.02"
      # SSDs: reading at random costs little more than in order.
      random_page_cost = "1.1"
      # Which statements cost what, for the hour after the incident.
      "pg_stat_statements.track" = "ALL"
    },
    # Whole pages are written after each checkpoint: have few of them, within a tenth of the disk.
    # (Aurora has none.)
    local.aurora ? {} : {
      max_wal_size       = tostring(min(8192, floor(var.storage_gb * 1024 / 10)))
      checkpoint_timeout = "900"
    },
  )
}

resource "aws_db_subnet_group" "this" {
  name        = var.name
  description = "Subnets with no way out"
  subnet_ids  = var.subnet_ids
}

# --- RDS -----------------------------------------------------------------------------------------

resource "aws_db_parameter_group" "this" {
  count = local.aurora ? 0 : 1

  name        = "${var.name}-postgres16"
  family      = "postgres16"
  description = "Livetally on Postgres 16"

  dynamic "parameter" {
    for_each = local.parameters

    content {
      name         = parameter.key
      value        = parameter.value
      apply_method = "immediate"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV2_AWS_69:rds.force_ssl is in local.parameters, where checkov doesn't look
  #checkov:skip=CKV_AWS_161:The service signs in with a password that RDS rotates; IAM tokens end after 15 minutes, which a pool that reconnects in a failover can't wait for
  count = local.aurora ? 0 : 1

  identifier     = var.name
  engine         = "postgres"
  engine_version = "16"
  instance_class = var.instance_class
  db_name        = "livetally"
  username       = "livetally"
  port           = 5432

  # Made, kept and rotated by RDS in Secrets Manager: it is in no state file.
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn

  storage_type          = "gp3"
  allocated_storage     = var.storage_gb
  max_allocated_storage = var.storage_gb * 10
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [var.security_group_id]
  publicly_accessible    = false
  ca_cert_identifier     = "rds-ca-rsa2048-g1"
  parameter_group_name   = aws_db_parameter_group.this[0].name

  backup_retention_period    = var.backup_days
  backup_window              = "02:00-03:00"
  maintenance_window         = "sun:03:30-sun:04:30"
  copy_tags_to_snapshot      = true
  delete_automated_backups   = !var.final_snapshot
  auto_minor_version_upgrade = true
  deletion_protection        = var.deletion_protection
  skip_final_snapshot        = !var.final_snapshot
  final_snapshot_identifier  = var.final_snapshot ? "${var.name}-final" : null

  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.kms_key_arn
  performance_insights_retention_period = 7
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn

  depends_on = [aws_cloudwatch_log_group.this]
}

# --- Aurora Serverless v2 ------------------------------------------------------------------------

resource "aws_rds_cluster_parameter_group" "this" {
  count = local.aurora ? 1 : 0

  name        = "${var.name}-aurora-postgresql16"
  family      = "aurora-postgresql16"
  description = "Livetally on Aurora Postgres 16"

  dynamic "parameter" {
    for_each = local.parameters

    content {
      name         = parameter.key
      value        = parameter.value
      apply_method = "immediate"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_rds_cluster" "this" {
  #checkov:skip=CKV2_AWS_8:Aurora's own backups reach back to any second of database.backup_days
  #checkov:skip=CKV2_AWS_27:Slow statements are logged; all of them would be a copy of what users sent
  #checkov:skip=CKV_AWS_162:As for the instance: a password that RDS rotates
  count = local.aurora ? 1 : 0

  cluster_identifier = var.name
  engine             = "aurora-postgresql"
  engine_mode        = "provisioned"
  engine_version     = "16"
  database_name      = "livetally"
  master_username    = "livetally"
  port               = 5432

  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn

  storage_encrypted = true
  kms_key_id        = var.kms_key_arn

  db_subnet_group_name            = aws_db_subnet_group.this.name
  vpc_security_group_ids          = [var.security_group_id]
  db_cluster_parameter_group_name = aws_rds_cluster_parameter_group.this[0].name

  backup_retention_period      = var.backup_days
  preferred_backup_window      = "02:00-03:00"
  preferred_maintenance_window = "sun:03:30-sun:04:30"
  copy_tags_to_snapshot        = true
  deletion_protection          = var.deletion_protection
  skip_final_snapshot          = !var.final_snapshot
  final_snapshot_identifier    = var.final_snapshot ? "${var.name}-final" : null

  enabled_cloudwatch_logs_exports = ["postgresql"]

  serverlessv2_scaling_configuration {
    min_capacity = var.aurora_capacity.min
    max_capacity = var.aurora_capacity.max
  }

  depends_on = [aws_cloudwatch_log_group.this]
}

resource "aws_rds_cluster_instance" "this" {
  # A second one, in another zone, is what Aurora fails over to.
  count = local.aurora ? (var.multi_az ? 2 : 1) : 0

  identifier         = "${var.name}-${count.index + 1}"
  cluster_identifier = aws_rds_cluster.this[0].id
  engine             = aws_rds_cluster.this[0].engine
  engine_version     = aws_rds_cluster.this[0].engine_version
  instance_class     = "db.serverless"

  publicly_accessible        = false
  ca_cert_identifier         = "rds-ca-rsa2048-g1"
  auto_minor_version_upgrade = true
  promotion_tier             = count.index

  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.kms_key_arn
  performance_insights_retention_period = 7
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
}

# --- The service's own role ----------------------------------------------------------------------

# Tasks don't run as the owner: `livetally migrate` makes a role that only reads and writes rows, with
# this password. (The owner's is RDS's, rotated every week, and only `migrate` is given it.)
data "aws_secretsmanager_random_password" "service" {
  password_length     = 48
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "service" {
  #checkov:skip=CKV2_AWS_57:Rotated by the runbook (apply -replace, then migrate): a rotation function would be code that runs four times a year
  name                    = "${var.name}/database-password"
  description             = "Postgres: the role livetally_service"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}

resource "aws_secretsmanager_secret_version" "service" {
  secret_id     = aws_secretsmanager_secret.service.id
  secret_string = jsonencode({ username = "livetally_service", password = data.aws_secretsmanager_random_password.service.random_password })

  # Every plan draws another password; only a new version (-replace) takes it.
  lifecycle {
    ignore_changes = [secret_string]
  }
}

# --- What it logs and measures -------------------------------------------------------------------

# RDS would make these itself, kept for ever and without our key.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is the environment's choice
  for_each = toset(local.aurora ? ["postgresql"] : ["postgresql", "upgrade"])

  name              = local.aurora ? "/aws/rds/cluster/${var.name}/${each.key}" : "/aws/rds/instance/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "monitoring" {
  name               = "${var.name}-rds-monitoring"
  assume_role_policy = data.aws_iam_policy_document.monitoring_assume.json
}

data "aws_iam_policy_document" "monitoring_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}
