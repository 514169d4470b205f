# Livetally on AWS: the boxes of the diagram in README.md, and what connects them.

locals {
  name = "livetally-${var.environment}"
  tags = { project = "livetally", environment = var.environment, managed_by = "terraform" }

  protected = var.deletion_protection && !var.retire

  # What was meant to be thrown away can be made again the same day.
  secret_recovery_days = var.deletion_protection ? 7 : 0

  # What must agree in several places, and is checked there (module edge, module service).
  port                   = 8080
  ping_interval_s        = 20
  drain_s                = 25
  idle_timeout_s         = 120
  deregistration_delay_s = 75
  stop_timeout_s         = 120

  # A web task holds this many connections to Postgres: its pool, two for what its health
  # depends on, one to write, one to spare.
  pool_size        = 6
  task_connections = local.pool_size + 4

  service_password = "${module.database.service_secret_arn}:password::${module.database.service_secret_version_id}"
  redis_password   = "${module.cache.password_secret_arn}:password::${module.cache.password_version_id}"

  # The tasks' own metrics, from their logs.
  metric_namespace = "Livetally/${var.environment}"

  # Roughly what Postgres takes by the memory of its class (RDS: memory / 9.5 MB, 5,000 at most).
  # Aurora's by its most; one that may shrink to half a unit never has more than 2,000.
  database_connections = var.database.engine == "aurora" ? min(var.database.aurora_capacity.min > 0.5 ? 5000 : 2000, var.database.aurora_capacity.max * 200) : {
    "db.t4g.small"   = 180
    "db.t4g.medium"  = 400
    "db.r8g.large"   = 1600
    "db.r8g.xlarge"  = 3300
    "db.r8g.2xlarge" = 5000
    "db.r8g.4xlarge" = 5000
    "db.r8g.8xlarge" = 5000
  }[var.database.instance_class]
}

module "network" {
  source = "./modules/network"

  name               = local.name
  cidr               = var.cidr
  zones              = var.zones
  nat                = var.nat
  exec_enabled       = var.exec_enabled
  behind_cloudfront  = var.cloudfront
  service_port       = local.port
  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.this.arn
}

module "database" {
  source = "./modules/database"

  name                 = local.name
  engine               = var.database.engine
  instance_class       = var.database.instance_class
  storage_gb           = var.database.storage_gb
  aurora_capacity      = var.database.aurora_capacity
  multi_az             = var.database.multi_az
  backup_days          = var.database.backup_days
  deletion_protection  = local.protected
  final_snapshot       = var.deletion_protection
  secret_recovery_days = local.secret_recovery_days
  subnet_ids           = module.network.data_subnet_ids
  security_group_id    = module.network.security_group_ids["database"]
  log_retention_days   = var.log_retention_days
  kms_key_arn          = aws_kms_key.this.arn
}

module "cache" {
  source = "./modules/cache"

  name                 = local.name
  node_type            = var.cache.node_type
  nodes                = var.cache.nodes
  subnet_ids           = module.network.data_subnet_ids
  security_group_id    = module.network.security_group_ids["cache"]
  secret_recovery_days = local.secret_recovery_days
  kms_key_arn          = aws_kms_key.this.arn
}

module "storage" {
  source = "./modules/storage"

  name                = local.name
  intelligent_tiering = var.archive_intelligent_tiering
  deletion_protection = local.protected
  kms_key_arn         = aws_kms_key.this.arn
}

module "queue" {
  source = "./modules/queue"

  name                = local.name
  imports_bucket_name = module.storage.bucket_names["imports"]
  imports_bucket_arn  = module.storage.bucket_arns["imports"]
  kms_key_arn         = aws_kms_key.this.arn
}

module "edge" {
  source = "./modules/edge"

  providers = {
    aws           = aws
    aws.us_east_1 = aws.us_east_1
  }

  name                   = local.name
  domain_name            = var.domain_name
  zone_name              = var.zone_name
  certificate_arn        = var.certificate_arn
  cloudfront             = var.cloudfront
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.public_subnet_ids
  security_group_id      = module.network.security_group_ids["alb"]
  service_port           = local.port
  idle_timeout_s         = local.idle_timeout_s
  ping_interval_s        = local.ping_interval_s
  deregistration_delay_s = local.deregistration_delay_s
  drain_s                = local.drain_s
  rate_limit             = var.rate_limit
  deletion_protection    = local.protected
  log_retention_days     = var.log_retention_days
  kms_key_arn            = aws_kms_key.this.arn
}

module "monitoring" {
  source = "./modules/monitoring"

  name                    = local.name
  environment             = var.environment
  metric_namespace        = local.metric_namespace
  log_retention_days      = var.log_retention_days
  emails                  = var.alert_emails
  monthly_budget_usd      = var.monthly_budget_usd
  load_balancer_dimension = module.edge.load_balancer_dimension
  target_group_dimension  = module.edge.target_group_dimension
  queue_name              = module.queue.queue_name
  dead_letter_queue_name  = module.queue.dead_letter_queue_name
  aurora                  = var.database.engine == "aurora"
  database_dimensions     = module.database.dimensions
  database_connections    = local.database_connections
  cache_nodes             = module.cache.member_clusters
  kms_key_arn             = aws_kms_key.this.arn
}

module "service" {
  source = "./modules/service"

  name      = local.name
  image_tag = var.image_tag
  web       = var.web
  worker    = var.worker

  environment = {
    LIVETALLY_DATABASE_URL = module.database.service_url
    LIVETALLY_REDIS_URL    = module.cache.url
    LIVETALLY_HOST         = "0.0.0.0"
    LIVETALLY_PORT         = tostring(local.port)
  }
  web_environment = {
    LIVETALLY_POOL_SIZE       = tostring(local.pool_size)
    LIVETALLY_PING_INTERVAL_S = tostring(local.ping_interval_s)
    LIVETALLY_DRAIN_S         = tostring(local.drain_s)
    LIVETALLY_EMF_NAMESPACE   = local.metric_namespace
    # The load balancer's. Behind CloudFront the address is CloudFront's: WAF knows the sender's.
    LIVETALLY_TRUSTED_PROXIES = var.cidr
    # For the admin page: dead letters are looked at and sent again there.
    LIVETALLY_QUEUE_URL             = module.queue.queue_url
    LIVETALLY_DEAD_LETTER_QUEUE_URL = module.queue.dead_letter_queue_url
  }
  worker_environment = {
    LIVETALLY_QUEUE_URL             = module.queue.queue_url
    LIVETALLY_DEAD_LETTER_QUEUE_URL = module.queue.dead_letter_queue_url
    LIVETALLY_QUEUE_PROJECT         = var.queue_project
    LIVETALLY_ARCHIVE_URL           = module.storage.archive_url
    LIVETALLY_RETENTION_DAYS        = tostring(var.retention_days)
  }

  migrate_environment = {
    LIVETALLY_DATABASE_URL         = module.database.owner_url
    LIVETALLY_SERVICE_DATABASE_URL = module.database.service_url
  }

  # Each secret is JSON, ECS hands on the one field. Ours name their version, so that a rotated
  # password is a new task definition; the owner's is the latest, whenever `migrate` starts.
  secrets = {
    LIVETALLY_DATABASE_PASSWORD = local.service_password
    LIVETALLY_REDIS_PASSWORD    = local.redis_password
  }
  migrate_secrets = {
    LIVETALLY_DATABASE_PASSWORD         = "${module.database.owner_secret_arn}:password::"
    LIVETALLY_SERVICE_DATABASE_PASSWORD = local.service_password
    LIVETALLY_REDIS_PASSWORD            = local.redis_password
  }

  port                   = local.port
  drain_s                = local.drain_s
  stop_timeout_s         = local.stop_timeout_s
  exec_enabled           = var.exec_enabled
  subnet_ids             = module.network.private_subnet_ids
  security_group_id      = module.network.security_group_ids["service"]
  target_group_arn       = module.edge.target_group_arn
  request_count_label    = "${module.edge.load_balancer_dimension}/${module.edge.target_group_dimension}"
  metric_namespace       = local.metric_namespace
  deployment_alarm_names = module.monitoring.deployment_alarm_names
  log_group_names        = module.monitoring.log_group_names
  log_group_arns         = module.monitoring.log_group_arns
  queue_arn              = module.queue.queue_arn
  dead_letter_queue_arn  = module.queue.dead_letter_queue_arn
  imports_bucket_arn     = module.storage.bucket_arns["imports"]
  archive_bucket_arn     = module.storage.bucket_arns["archive"]
  archive_prefix         = module.storage.archive_prefix
  deletion_protection    = local.protected
  kms_key_arn            = aws_kms_key.this.arn
}

module "access" {
  source = "./modules/access"
  count  = var.github_repository == null ? 0 : 1

  name              = local.name
  environment       = var.environment
  repository        = var.github_repository
  repository_arn    = module.service.repository_arn
  cluster_arn       = module.service.cluster_arn
  service_arns      = values(module.service.service_arns)
  task_role_arns    = values(module.service.role_arns)
  state_secret_arns = [module.database.service_secret_arn, module.cache.password_secret_arn]
  glue_table        = module.storage.glue_table
  pages_bucket_name = module.edge.pages_bucket_name
  kms_key_arn       = aws_kms_key.this.arn
}

# --- What doesn't stop an apply, but should be seen ----------------------------------------------

check "somebody_is_told" {
  assert {
    condition     = length(var.alert_emails) > 0
    error_message = "No alert_emails: alarms go off and nobody hears them."
  }
}

check "connections_suffice" {
  assert {
    condition     = var.web.max * local.task_connections <= local.database_connections * 0.8
    error_message = "${var.web.max} web tasks take ${var.web.max * local.task_connections} connections, Postgres has ${local.database_connections}: a larger class or fewer tasks."
  }
}
