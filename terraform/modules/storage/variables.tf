variable "name" {
  description = "What everything here is called by: livetally-ENVIRONMENT"
  type        = string
}

variable "intelligent_tiering" {
  description = "Let S3 find out what is read; else Glacier Instant Retrieval after 90 days"
  type        = bool
}

variable "deletion_protection" {
  description = "Refuse to delete a bucket that holds anything"
  type        = bool
}

variable "kms_key_arn" {
  description = "The environment's key"
  type        = string
}
