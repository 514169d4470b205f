variable "name" {
  description = "What everything here is called by: livetally-ENVIRONMENT"
  type        = string
}

variable "engine" {
  description = "rds: one instance and, with multi_az, its standby; aurora: Serverless v2"
  type        = string
}

variable "instance_class" {
  description = "The RDS instance's class"
  type        = string
}

variable "storage_gb" {
  description = "Disk of the RDS instance; it grows to ten times that by itself"
  type        = number
}

variable "aurora_capacity" {
  description = "Least and most Aurora capacity units"
  type        = object({ min = number, max = number })
}

variable "multi_az" {
  description = "A standby in another zone"
  type        = bool
}

variable "backup_days" {
  description = "How far back the database can be restored to any second"
  type        = number
}

variable "deletion_protection" {
  description = "Refuse to be deleted"
  type        = bool
}

variable "final_snapshot" {
  description = "Leave a last snapshot, and the backups, when deleted"
  type        = bool
}

variable "subnet_ids" {
  description = "Subnets with no way out, in two zones or more"
  type        = list(string)
}

variable "security_group_id" {
  description = "The database's group"
  type        = string
}

variable "log_retention_days" {
  description = "How long Postgres's log is kept"
  type        = number
}

variable "kms_key_arn" {
  description = "The environment's key"
  type        = string
}

variable "secret_recovery_days" {
  description = "A deleted secret can be had back for so long, and its name is taken; 0: it is gone at once"
  type        = number
}
