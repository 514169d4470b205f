# Events that come by SQS: sent directly, by SNS, as objects in S3, or from devices over IoT.

data "aws_caller_identity" "current" {}

resource "aws_sqs_queue" "events" {
  name                       = "${var.name}-events"
  kms_master_key_id          = var.kms_key_arn
  message_retention_seconds  = 1209600 # 14 days: a long outage loses nothing
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = 120

  # A message that failed five times isn't going to work. The worker notes the reason.
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  kms_master_key_id         = var.kms_key_arn
  message_retention_seconds = 1209600
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.events.arn]
  })
}

# --- Who may send --------------------------------------------------------------------------------

data "aws_iam_policy_document" "events" {
  statement {
    sid       = "Topic"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events.arn]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_sns_topic.events.arn]
    }
  }

  statement {
    sid       = "Imports"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events.arn]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [var.imports_bucket_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }

  statement {
    sid       = "OnlyTLS"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.events.arn]

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

resource "aws_sqs_queue_policy" "events" {
  queue_url = aws_sqs_queue.events.id
  policy    = data.aws_iam_policy_document.events.json
}

# --- SNS -----------------------------------------------------------------------------------------

resource "aws_sns_topic" "events" {
  name              = "${var.name}-events"
  kms_master_key_id = var.kms_key_arn
}

# Others may use the topic for their own: only what looks like an event is ours.
resource "aws_sns_topic_subscription" "events" {
  topic_arn           = aws_sns_topic.events.arn
  protocol            = "sqs"
  endpoint            = aws_sqs_queue.events.arn
  filter_policy_scope = "MessageBody"

  filter_policy = jsonencode({
    type    = [{ exists = true }]
    subject = [{ exists = true }]
  })

  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_letters.arn })
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    sid       = "Topic"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_sns_topic.events.arn]
    }
  }

  statement {
    sid       = "OnlyTLS"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.dead_letters.arn]

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

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.dead_letters.json
}

# --- S3 ------------------------------------------------------------------------------------------

resource "aws_s3_bucket_notification" "imports" {
  bucket = var.imports_bucket_name

  dynamic "queue" {
    for_each = toset([".ndjson", ".jsonl"])

    content {
      id            = "events${replace(queue.value, ".", "-")}"
      queue_arn     = aws_sqs_queue.events.arn
      events        = ["s3:ObjectCreated:*"]
      filter_suffix = queue.value
    }
  }

  depends_on = [aws_sqs_queue_policy.events]
}

# --- IoT -----------------------------------------------------------------------------------------

resource "aws_iot_topic_rule" "events" {
  name        = "${replace(var.name, "-", "_")}_events"
  description = "What devices publish to livetally/events is counted"
  enabled     = true
  sql         = "SELECT * FROM 'livetally/events/#'"
  sql_version = "2016-03-23"

  sqs {
    queue_url  = aws_sqs_queue.events.id
    role_arn   = aws_iam_role.iot.arn
    use_base64 = false
  }

  error_action {
    sqs {
      queue_url  = aws_sqs_queue.dead_letters.id
      role_arn   = aws_iam_role.iot.arn
      use_base64 = false
    }
  }
}

resource "aws_iam_role" "iot" {
  name               = "${var.name}-iot"
  assume_role_policy = data.aws_iam_policy_document.iot_assume.json
}

data "aws_iam_policy_document" "iot_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["iot.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "iot" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events.arn, aws_sqs_queue.dead_letters.arn]
  }

  statement {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "iot" {
  name   = "send-events"
  role   = aws_iam_role.iot.id
  policy = data.aws_iam_policy_document.iot.json
}
