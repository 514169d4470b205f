variable "name" {
  description = "What everything here is called by: livetally-ENVIRONMENT"
  type        = string
}

variable "node_type" {
  description = "The nodes' class"
  type        = string
}

variable "nodes" {
  description = "1, or more: then in several zones, with automatic failover"
  type        = number
}

variable "subnet_ids" {
  description = "Subnets with no way out"
  type        = list(string)
}

variable "security_group_id" {
  description = "The cache's group"
  type        = string
}

variable "kms_key_arn" {
  description = "The environment's key"
  type        = string
}

variable "secret_recovery_days" {
  description = "A deleted secret can be had back for so long, and its name is taken; 0: it is gone at once"
  type        = number
}
