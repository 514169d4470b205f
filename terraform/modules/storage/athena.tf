# The archive as a table. Athena works out the partitions from their names (projection): there is
# no crawler to run and no partition to add.

locals {
  prefix = "events"

  # As the archive's writer has them (a test compares the two), in its order.
  columns = [
    { name = "id", type = "string" },
    { name = "subject", type = "string" },
    { name = "session", type = "string" },
    { name = "occurred_at", type = "timestamp" },
    { name = "received_at", type = "timestamp" },
    { name = "slot", type = "int" },
    { name = "seq", type = "bigint" },
    { name = "properties", type = "string" },
  ]

  # The folders, outermost first.
  partitions = [
    { name = "project", type = "string" },
    { name = "type", type = "string" },
    { name = "year", type = "int" },
    { name = "month", type = "int" },
    { name = "day", type = "int" },
    { name = "hour", type = "int" },
  ]
  location = "s3://${aws_s3_bucket.this["archive"].id}/${local.prefix}"
  folders  = join("/", [for each in local.partitions : "${each.name}=$${${each.name}}"])
}

resource "aws_glue_catalog_database" "this" {
  name        = replace(var.name, "-", "_")
  description = "Livetally's archive"
}

resource "aws_glue_catalog_table" "events" {
  name          = "events"
  database_name = aws_glue_catalog_database.this.name
  description   = "Every event, once. A query names the project and the type (they are injected)"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    "classification"            = "parquet"
    "projection.enabled"        = "true"
    "projection.project.type"   = "injected"
    "projection.type.type"      = "injected"
    "projection.year.type"      = "integer"
    "projection.year.range"     = "2026,2056"
    "projection.month.type"     = "integer"
    "projection.month.range"    = "1,12"
    "projection.month.digits"   = "2"
    "projection.day.type"       = "integer"
    "projection.day.range"      = "1,31"
    "projection.day.digits"     = "2"
    "projection.hour.type"      = "integer"
    "projection.hour.range"     = "0,23"
    "projection.hour.digits"    = "2"
    "storage.location.template" = "${local.location}/${local.folders}"
  }

  dynamic "partition_keys" {
    for_each = local.partitions

    content {
      name = partition_keys.value.name
      type = partition_keys.value.type
    }
  }

  storage_descriptor {
    location      = "${local.location}/"
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    dynamic "columns" {
      for_each = local.columns

      content {
        name = columns.value.name
        type = columns.value.type
      }
    }
  }
}

resource "aws_athena_workgroup" "this" {
  name          = var.name
  description   = "Questions to Livetally's archive"
  force_destroy = !var.deletion_protection

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    # A query without a project and a time reads everything: at most 100 GB, half a dollar.
    bytes_scanned_cutoff_per_query = 107374182400

    result_configuration {
      output_location = "s3://${aws_s3_bucket.this["results"].id}/"

      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = var.kms_key_arn
      }
    }
  }
}
