variable "name" {
  description = "What everything here is called by: livetally-ENVIRONMENT"
  type        = string
}

variable "environment" {
  description = "dev, staging or prod: the GitHub environment of that name deploys here"
  type        = string
}

variable "repository" {
  description = "OWNER/NAME on GitHub"
  type        = string
}

variable "repository_arn" {
  description = "Where images are pushed"
  type        = string
}

variable "cluster_arn" {
  description = "The ECS cluster"
  type        = string
}

variable "service_arns" {
  description = "The services that get the new image"
  type        = list(string)
}

variable "task_role_arns" {
  description = "The roles that a task definition names"
  type        = list(string)
}

variable "state_secret_arns" {
  description = "The secrets whose values are in the state"
  type        = list(string)
}

variable "glue_table" {
  description = "The archive in Athena: DATABASE.TABLE"
  type        = string
}

variable "pages_bucket_name" {
  description = "Where the page's files go; null without CloudFront"
  type        = string
}

variable "kms_key_arn" {
  description = "The environment's key"
  type        = string
}
