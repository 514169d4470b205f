# What differs between environments, and nothing else: environments/*.tfvars.

variable "environment" {
  description = "dev, staging or prod"
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "An environment is dev, staging or prod."
  }

  # Whatever a tfvars file says: prod survives the loss of a zone, and a slip of the hand.
  validation {
    condition     = var.environment != "prod" || (var.zones == 3 && var.nat != "one" && var.database.multi_az && var.cache.nodes >= 2 && var.web.min >= 2)
    error_message = "prod can't depend on one zone: zones = 3, nat per_zone or none, database.multi_az, cache.nodes and web.min 2 or more."
  }

  validation {
    condition     = var.environment != "prod" || (var.deletion_protection && var.database.backup_days >= 14 && length(var.alert_emails) > 0)
    error_message = "prod can't be unprotected: deletion_protection, database.backup_days 14 or more, and alert_emails that somebody reads."
  }
}

variable "region" {
  description = "The AWS region"
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region looks like eu-central-1."
  }
}

variable "image_tag" {
  description = "The image's tag. A deploy gives it; an apply of something else repeats it (`terraform output -raw image_tag`)"
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "A tag names one image for ever: a version or a commit, not `latest`."
  }
}

# --- Network -------------------------------------------------------------------------------------

variable "cidr" {
  description = "The VPC's addresses, a /16"
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "A /16, as 10.20.0.0/16."
  }
}

variable "zones" {
  description = "Number of availability zones"
  type        = number

  validation {
    condition     = contains([2, 3], var.zones)
    error_message = "Two zones or three."
  }
}

variable "nat" {
  description = "How tasks reach AWS's services: `one` NAT, one `per_zone`, or `none` (endpoints inside the VPC)"
  type        = string

  validation {
    condition     = contains(["none", "one", "per_zone"], var.nat)
    error_message = "nat is none, one or per_zone."
  }
}

variable "domain_name" {
  description = "Where Livetally is to be found"
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]+$", var.domain_name))
    error_message = "A domain name, as tally.example.com."
  }
}

variable "zone_name" {
  description = "The Route 53 zone that the domain is in; null: names and certificate are made elsewhere"
  type        = string
  default     = null

  validation {
    condition     = var.zone_name == null ? true : endswith(".${var.domain_name}", ".${var.zone_name}")
    error_message = "domain_name must be in zone_name."
  }
}

variable "certificate_arn" {
  description = "Without zone_name: the domain's certificate in ACM"
  type        = string
  default     = null

  validation {
    condition     = (var.zone_name == null) != (var.certificate_arn == null)
    error_message = "There is nothing without TLS: give zone_name (a certificate is made) or certificate_arn, one of the two."
  }

  validation {
    condition     = var.certificate_arn == null ? true : can(regex("^arn:aws:acm:${var.region}:[0-9]{12}:certificate/", var.certificate_arn))
    error_message = "A load balancer takes a certificate of ACM in its own region: arn:aws:acm:REGION:ACCOUNT:certificate/ID."
  }
}

variable "cloudfront" {
  description = "Put CloudFront in front: the page's files come from near the viewer"
  type        = bool

  validation {
    condition     = !var.cloudfront || var.zone_name != null
    error_message = "CloudFront needs zone_name: its certificate is made in another region."
  }
}

variable "rate_limit" {
  description = "Requests from one address in five minutes; what is over is blocked"
  type        = number

  validation {
    condition     = var.rate_limit >= 100 && var.rate_limit <= 2000000000
    error_message = "WAF takes 100 to 2,000,000,000."
  }
}

# --- Data ----------------------------------------------------------------------------------------

variable "database" {
  description = "Postgres: `rds` of a class and size, or `aurora` (Serverless v2) between two capacities; a standby in another zone; how many days back it can be restored"
  type = object({
    engine          = string
    instance_class  = optional(string, "db.t4g.small")
    storage_gb      = optional(number, 20)
    aurora_capacity = optional(object({ min = number, max = number }), { min = 0.5, max = 4 })
    multi_az        = bool
    backup_days     = number
  })

  validation {
    condition     = contains(["rds", "aurora"], var.database.engine)
    error_message = "database.engine is rds or aurora."
  }

  validation {
    condition = contains([
      "db.t4g.small", "db.t4g.medium", "db.r8g.large", "db.r8g.xlarge", "db.r8g.2xlarge", "db.r8g.4xlarge", "db.r8g.8xlarge",
    ], var.database.instance_class)
    error_message = "database.instance_class: db.t4g.small or medium, db.r8g.large to 8xlarge (main.tf knows their connections)."
  }

  validation {
    condition     = var.database.storage_gb >= 20 && var.database.storage_gb <= 6000
    error_message = "database.storage_gb: 20 to 6,000; it grows to ten times that by itself."
  }

  validation {
    condition     = var.database.backup_days >= 1 && var.database.backup_days <= 35
    error_message = "database.backup_days: 1 to 35."
  }

  validation {
    condition     = var.database.aurora_capacity.min >= 0.5 && var.database.aurora_capacity.max <= 256 && var.database.aurora_capacity.min <= var.database.aurora_capacity.max && var.database.aurora_capacity.max >= 1 && alltrue([for units in values(var.database.aurora_capacity) : units * 2 == floor(units * 2)])
    error_message = "database.aurora_capacity: 0.5 <= min <= max <= 256 units, in halves; max at least 1."
  }
}

variable "cache" {
  description = "Redis: the nodes' class, and how many; more than one stand in several zones"
  type        = object({ node_type = string, nodes = number })

  validation {
    condition     = startswith(var.cache.node_type, "cache.") && var.cache.nodes >= 1 && var.cache.nodes <= 6
    error_message = "cache: a cache.* class, 1 to 6 nodes."
  }
}

variable "archive_intelligent_tiering" {
  description = "Let S3 find out what is read of the archive; else Glacier Instant Retrieval after 90 days"
  type        = bool
}

variable "retention_days" {
  description = "Days of single events that Postgres keeps, for feeds; the archive has them all, and counts stay"
  type        = number

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 365
    error_message = "retention_days: 1 to 365. A day is 0.6 TB at 16,000 events a second."
  }
}

variable "queue_project" {
  description = "The project that queued events count for, unless they say which"
  type        = string

  validation {
    condition     = length(var.queue_project) > 0
    error_message = "Events from the queue must count for some project."
  }
}

variable "deletion_protection" {
  description = "Database, load balancer, buckets and images refuse to be deleted while they hold anything"
  type        = bool
}

variable "retire" {
  description = "Take that protection away, to destroy the environment; the last snapshot of the database stays"
  type        = bool
  default     = false
}

# --- Tasks ---------------------------------------------------------------------------------------

variable "web" {
  description = "Web tasks: CPU units, MiB, how few and how many, and the requests a minute and viewers that each should have at most"
  type = object({
    cpu                 = number
    memory              = number
    min                 = number
    max                 = number
    requests_per_minute = optional(number, 120000)
    viewers             = optional(number, 10000)
  })

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.web.cpu) && var.web.memory >= var.web.cpu * 2 && var.web.memory <= var.web.cpu * 8
    error_message = "web: Fargate has cpu 256 to 4096 in doubles, and memory of 2 to 8 times that."
  }

  validation {
    condition     = var.web.min >= 1 && var.web.max >= var.web.min
    error_message = "web: 1 <= min <= max."
  }
}

variable "worker" {
  description = "Worker tasks: CPU units, MiB, how few and how many, and whether all but the first may be Spot"
  type        = object({ cpu = number, memory = number, min = number, max = number, spot = bool })

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.worker.cpu) && var.worker.memory >= var.worker.cpu * 2 && var.worker.memory <= var.worker.cpu * 8
    error_message = "worker: Fargate has cpu 256 to 4096 in doubles, and memory of 2 to 8 times that."
  }

  validation {
    condition     = var.worker.min >= 1 && var.worker.max >= var.worker.min
    error_message = "worker: 1 <= min <= max."
  }
}

variable "exec_enabled" {
  description = "Whether a shell may be opened in a task (ECS Exec); for the hour that needs it"
  type        = bool
  default     = false
}

# --- People --------------------------------------------------------------------------------------

variable "alert_emails" {
  description = "Who is told of alarms and of the budget"
  type        = list(string)

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "alert_emails are addresses of e-mail."
  }
}

variable "monthly_budget_usd" {
  description = "What a month may cost, in US dollars"
  type        = number

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "A budget is more than nothing."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept"
  type        = number

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 7, 14, 30, 60, 90, 180, 365 or 400 days."
  }
}

variable "github_repository" {
  description = "OWNER/NAME of the repository whose workflow deploys here; null: none does"
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null ? true : can(regex("^[^/ *]+/[^/ *]+$", var.github_repository))
    error_message = "A repository is OWNER/NAME."
  }
}
