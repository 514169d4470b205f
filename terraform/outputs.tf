# The interface: what scripts, InSpec's inputs and people read.

output "environment" {
  description = "dev, staging or prod"
  value       = var.environment
}

output "region" {
  description = "The AWS region"
  value       = var.region
}

output "url" {
  description = "Where Livetally is"
  value       = "https://${var.domain_name}"
}

output "image_tag" {
  description = "What runs"
  value       = var.image_tag
}

output "kms_key_arn" {
  description = "The key that everything is encrypted with"
  value       = aws_kms_key.this.arn
}

output "deletion_protection" {
  description = "Whether a slip of the hand is refused"
  value       = local.protected
}

output "network" {
  description = "VPC, subnets and security groups"
  value = {
    vpc_id              = module.network.vpc_id
    public_subnet_ids   = module.network.public_subnet_ids
    private_subnet_ids  = module.network.private_subnet_ids
    data_subnet_ids     = module.network.data_subnet_ids
    security_group_ids  = module.network.security_group_ids
    flow_log_group_name = module.network.flow_log_group_name
    nat                 = var.nat
  }
}

output "database" {
  description = "Postgres"
  value = {
    engine             = var.database.engine
    identifier         = module.database.identifier
    host               = module.database.host
    owner_secret_arn   = module.database.owner_secret_arn
    service_secret_arn = module.database.service_secret_arn
    multi_az           = var.database.multi_az
    backup_days        = var.database.backup_days
  }
}

output "cache" {
  description = "Redis"
  value = {
    replication_group_id = module.cache.replication_group_id
    user_group_id        = module.cache.user_group_id
    password_secret_arn  = module.cache.password_secret_arn
    nodes                = var.cache.nodes
  }
}

output "storage" {
  description = "Buckets, and the archive's table"
  value = {
    bucket_names        = module.storage.bucket_names
    intelligent_tiering = var.archive_intelligent_tiering
    archive_url         = module.storage.archive_url
    glue_table          = module.storage.glue_table
    athena_workgroup    = module.storage.athena_workgroup
  }
}

output "queue" {
  description = "Where events can be sent besides HTTP"
  value = {
    url             = module.queue.queue_url
    dead_letter_url = module.queue.dead_letter_queue_url
    topic_arn       = module.queue.topic_arn
    iot_rule_name   = module.queue.iot_rule_name
  }
}

output "service" {
  description = "Cluster, services, task definitions, roles"
  value = {
    repository_url       = module.service.repository_url
    cluster_name         = module.service.cluster_name
    service_names        = module.service.service_names
    task_definition_arns = module.service.task_definition_arns
    role_names           = module.service.role_names
    exec_enabled         = var.exec_enabled
    port                 = local.port
    stop_timeout_s       = local.stop_timeout_s
    drain_s              = local.drain_s
    ping_interval_s      = local.ping_interval_s
  }
}

output "edge" {
  description = "Load balancer, firewall, CloudFront"
  value = {
    load_balancer_arn      = module.edge.load_balancer_arn
    load_balancer_dns_name = module.edge.load_balancer_dns_name
    target_group_arn       = module.edge.target_group_arn
    listener_arns          = module.edge.listener_arns
    web_acl_arn            = module.edge.web_acl_arn
    cloudfront_web_acl_arn = module.edge.cloudfront_web_acl_arn
    waf_log_group_name     = module.edge.waf_log_group_name
    rate_limit             = var.rate_limit
    logs_bucket_name       = module.edge.logs_bucket_name
    pages_bucket_name      = module.edge.pages_bucket_name
    distribution_id        = module.edge.distribution_id
    idle_timeout_s         = local.idle_timeout_s
    deregistration_delay_s = local.deregistration_delay_s
  }
}

output "monitoring" {
  description = "Logs, alarms, dashboard, budget"
  value = {
    log_group_names    = module.monitoring.log_group_names
    log_retention_days = var.log_retention_days
    alarm_names        = module.monitoring.alarm_names
    topic_arn          = module.monitoring.topic_arn
    dashboard_name     = module.monitoring.dashboard_name
    budget_name        = module.monitoring.budget_name
  }
}

output "github_role_arns" {
  description = "For the workflow: plan, apply; empty without a repository"
  value       = one(module.access[*].role_arns)
}
