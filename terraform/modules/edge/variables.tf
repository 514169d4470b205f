variable "name" {
  description = "What everything here is called by: livetally-ENVIRONMENT"
  type        = string
}

variable "domain_name" {
  description = "Where Livetally is to be found"
  type        = string
}

variable "zone_name" {
  description = "The Route 53 zone that the domain is in; null: names and certificate are made elsewhere"
  type        = string
}

variable "certificate_arn" {
  description = "Without a zone: the domain's certificate"
  type        = string
}

variable "cloudfront" {
  description = "Put CloudFront in front; it needs the zone"
  type        = bool
}

variable "vpc_id" {
  description = "The VPC"
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets, one a zone"
  type        = list(string)
}

variable "security_group_id" {
  description = "The load balancer's group"
  type        = string
}

variable "service_port" {
  description = "What the web tasks listen on"
  type        = number
}

variable "idle_timeout_s" {
  description = "A connection that is silent for so long is cut"
  type        = number
}

variable "ping_interval_s" {
  description = "The service pings viewers this often (LIVETALLY_PING_INTERVAL_S)"
  type        = number
}

variable "deregistration_delay_s" {
  description = "A task that is to go keeps its connections for so long"
  type        = number
}

variable "drain_s" {
  description = "It closes its viewers spread over this time (LIVETALLY_DRAIN_S)"
  type        = number
}

variable "rate_limit" {
  description = "Requests from one address in five minutes; what is over is blocked"
  type        = number
}

variable "deletion_protection" {
  description = "The load balancer refuses to be deleted, the bucket of its logs too"
  type        = bool
}

variable "log_retention_days" {
  description = "How long WAF's log is kept"
  type        = number
}

variable "kms_key_arn" {
  description = "The environment's key, for WAF's log"
  type        = string
}
