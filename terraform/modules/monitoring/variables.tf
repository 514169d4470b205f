variable "name" {
  description = "What everything here is called by: livetally-ENVIRONMENT"
  type        = string
}

variable "environment" {
  description = "dev, staging or prod: the tag that costs are counted by"
  type        = string
}

variable "metric_namespace" {
  description = "Where the tasks' own metrics are"
  type        = string
}

variable "log_retention_days" {
  description = "How long the tasks' logs are kept"
  type        = number
}

variable "emails" {
  description = "Who is told of alarms and of the budget"
  type        = list(string)
}

variable "monthly_budget_usd" {
  description = "What a month may cost"
  type        = number
}

variable "load_balancer_dimension" {
  description = "The load balancer, as CloudWatch knows it"
  type        = string
}

variable "target_group_dimension" {
  description = "The web tasks, as CloudWatch knows them"
  type        = string
}

variable "queue_name" {
  description = "The queue of events"
  type        = string
}

variable "dead_letter_queue_name" {
  description = "The queue of what can't be counted"
  type        = string
}

variable "aurora" {
  description = "Whether the database is Aurora"
  type        = bool
}

variable "database_dimensions" {
  description = "The database, as CloudWatch knows it"
  type        = map(string)
}

variable "database_connections" {
  description = "How many connections the database takes"
  type        = number
}

variable "cache_nodes" {
  description = "The nodes of Redis, as CloudWatch knows them"
  type        = list(string)
}

variable "kms_key_arn" {
  description = "The environment's key"
  type        = string
}
