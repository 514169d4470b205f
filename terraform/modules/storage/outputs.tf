output "bucket_names" {
  description = "By use: archive, imports, results (Athena's)"
  value       = { for use, bucket in aws_s3_bucket.this : use => bucket.id }
}

output "bucket_arns" {
  description = "By use: archive, imports, results (Athena's)"
  value       = { for use, bucket in aws_s3_bucket.this : use => bucket.arn }
}

output "archive_prefix" {
  description = "Where in the archive bucket the events are"
  value       = local.prefix
}

output "archive_url" {
  description = "Where the worker writes the archive"
  value       = local.location
}

output "glue_table" {
  description = "The archive in Athena: DATABASE.TABLE"
  value       = "${aws_glue_catalog_database.this.name}.${aws_glue_catalog_table.events.name}"
}

output "athena_workgroup" {
  description = "The workgroup to ask in"
  value       = aws_athena_workgroup.this.name
}
