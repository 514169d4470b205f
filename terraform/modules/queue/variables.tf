variable "name" {
  description = "What everything here is called by: livetally-ENVIRONMENT"
  type        = string
}

variable "imports_bucket_name" {
  description = "Objects that are put here are read as NDJSON"
  type        = string
}

variable "imports_bucket_arn" {
  description = "The same bucket's ARN"
  type        = string
}

variable "kms_key_arn" {
  description = "The environment's key"
  type        = string
}
