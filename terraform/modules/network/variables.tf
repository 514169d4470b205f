variable "name" {
  description = "What everything here is called by: livetally-ENVIRONMENT"
  type        = string
}

variable "cidr" {
  description = "The VPC's addresses, a /16"
  type        = string
}

variable "zones" {
  description = "Number of availability zones"
  type        = number
}

variable "nat" {
  description = "How tasks reach AWS: one NAT, one per_zone, or none (by endpoints only)"
  type        = string
}

variable "exec_enabled" {
  description = "Whether a shell may be opened in a task: without a NAT that needs endpoints of its own"
  type        = bool
}

variable "behind_cloudfront" {
  description = "The load balancer hears CloudFront only"
  type        = bool
}

variable "service_port" {
  description = "The port that the web tasks listen on"
  type        = number
}

variable "log_retention_days" {
  description = "How long flow logs are kept"
  type        = number
}

variable "kms_key_arn" {
  description = "The environment's key, for the flow logs"
  type        = string
}
