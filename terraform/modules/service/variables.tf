variable "name" {
  description = "What everything here is called by: livetally-ENVIRONMENT"
  type        = string
}

variable "image_tag" {
  description = "The image's tag, as pushed to this module's repository"
  type        = string
}

variable "web" {
  description = "Web tasks: CPU units, MiB, how few and how many, and what each should have at most"
  type = object({
    cpu                 = number
    memory              = number
    min                 = number
    max                 = number
    requests_per_minute = number
    viewers             = number
  })
}

variable "worker" {
  description = "Worker tasks: CPU units, MiB, how few and how many, and whether Spot will do"
  type = object({
    cpu    = number
    memory = number
    min    = number
    max    = number
    spot   = bool
  })
}

variable "environment" {
  description = "Settings of all tasks, by variable"
  type        = map(string)
}

variable "web_environment" {
  description = "Settings of the web tasks only"
  type        = map(string)
}

variable "worker_environment" {
  description = "Settings of the worker tasks only"
  type        = map(string)
}

variable "migrate_environment" {
  description = "Settings of the migrate task, besides or instead of those of all tasks"
  type        = map(string)
}

variable "secrets" {
  description = "Settings of web and worker that ECS reads from Secrets Manager: ARN:FIELD:STAGE:VERSION by variable"
  type        = map(string)
}

variable "migrate_secrets" {
  description = "The same of the migrate task"
  type        = map(string)
}

variable "port" {
  description = "What the tasks listen on"
  type        = number
}

variable "drain_s" {
  description = "A task closes its viewers spread over this time (LIVETALLY_DRAIN_S)"
  type        = number
}

variable "stop_timeout_s" {
  description = "ECS kills a task this long after SIGTERM; 120 at most"
  type        = number
}

variable "exec_enabled" {
  description = "Whether a shell may be opened in a task"
  type        = bool
}

variable "subnet_ids" {
  description = "Private subnets, one a zone"
  type        = list(string)
}

variable "security_group_id" {
  description = "The tasks' group"
  type        = string
}

variable "target_group_arn" {
  description = "Where web tasks register"
  type        = string
}

variable "request_count_label" {
  description = "The load balancer and target group whose requests are counted, as autoscaling names them"
  type        = string
}

variable "metric_namespace" {
  description = "Where the tasks' own metrics are"
  type        = string
}

variable "deployment_alarm_names" {
  description = "A deploy during which one of these goes off is rolled back, by service: web, worker"
  type        = object({ web = list(string), worker = list(string) })
}

variable "log_group_names" {
  description = "By task (web, worker, migrate), and exec"
  type        = map(string)
}

variable "log_group_arns" {
  description = "By task (web, worker, migrate), and exec"
  type        = map(string)
}

variable "queue_arn" {
  description = "Where the worker receives events"
  type        = string
}

variable "dead_letter_queue_arn" {
  description = "Where it puts messages that can't be counted"
  type        = string
}

variable "imports_bucket_arn" {
  description = "Whose objects the worker reads"
  type        = string
}

variable "archive_bucket_arn" {
  description = "Where the worker writes the archive"
  type        = string
}

variable "archive_prefix" {
  description = "And under which prefix"
  type        = string
}

variable "deletion_protection" {
  description = "Refuse to delete a repository that holds images"
  type        = bool
}

variable "kms_key_arn" {
  description = "The environment's key"
  type        = string
}
