# S3: the archive of events as Parquet, and a place to drop NDJSON that is to be counted.

data "aws_caller_identity" "current" {}

locals {
  # Bucket names are the whole world's: the account makes them ours.
  buckets = {
    archive = "${var.name}-archive-${data.aws_caller_identity.current.account_id}"
    imports = "${var.name}-imports-${data.aws_caller_identity.current.account_id}"
    results = "${var.name}-athena-${data.aws_caller_identity.current.account_id}"
  }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_144:The archive is a copy of what Postgres had and its backups have; a second region is a second environment
  #checkov:skip=CKV_AWS_18:Who wrote what is in CloudTrail's data events if wanted; only this account's two roles have any right here
  #checkov:skip=CKV2_AWS_62:The imports bucket tells the queue (module queue); nobody waits for the others
  #checkov:skip=CKV2_AWS_6:Blocked below for every bucket; checkov follows for_each to the first only. A test asks AWS for each
  #checkov:skip=CKV2_AWS_61:Below for every bucket, as above
  #checkov:skip=CKV_AWS_21:Below for every bucket, as above
  #checkov:skip=CKV_AWS_145:Below for every bucket, as above
  for_each = local.buckets

  bucket        = each.value
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

data "aws_iam_policy_document" "tls_only" {
  for_each = aws_s3_bucket.this

  statement {
    sid       = "OnlyTLS"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value.arn, "${each.value.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id
  policy = data.aws_iam_policy_document.tls_only[each.key].json

  depends_on = [aws_s3_bucket_public_access_block.this]
}

# --- How objects age -----------------------------------------------------------------------------

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  #checkov:skip=CKV_AWS_300:The rule `tidy` does that for every bucket; checkov wants it in every rule
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    id     = "tidy"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }

  # Asked for often: Intelligent-Tiering finds out. Else Glacier IR, as fast to read and at a fifth
  # of the price, when nobody looks at single events any more.
  dynamic "rule" {
    for_each = each.key == "archive" ? [1] : []

    content {
      id     = "colder"
      status = "Enabled"

      filter {}

      transition {
        days          = var.intelligent_tiering ? 0 : 90
        storage_class = var.intelligent_tiering ? "INTELLIGENT_TIERING" : "GLACIER_IR"
      }
    }
  }

  # What was imported is in Postgres and the archive; Athena's answers can be asked for again.
  dynamic "rule" {
    for_each = each.key == "archive" ? [] : [1]

    content {
      id     = "expire"
      status = "Enabled"

      filter {}

      expiration {
        days = 30
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
