# Two kinds of role: what ECS may do to start a task (execution), and what the task itself may do.

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    # Not on behalf of somebody else's cluster.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

# --- To start a task -----------------------------------------------------------------------------

# One for each kind of task: only `migrate` is handed the owner's password.
resource "aws_iam_role" "execution" {
  for_each = local.tasks

  name               = "${var.name}-execution-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

data "aws_iam_policy_document" "execution" {
  #checkov:skip=CKV_AWS_356:ecr:GetAuthorizationToken has no resource to name; it alone is given for all
  for_each = local.tasks

  statement {
    sid       = "SignInToECR"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "PullImage"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetDownloadUrlForLayer",
    ]
    resources = [aws_ecr_repository.this.arn]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${var.log_group_arns[each.key]}:log-stream:*"]
  }

  statement {
    sid     = "ReadPasswords"
    actions = ["secretsmanager:GetSecretValue"]
    # ARN:FIELD:STAGE:VERSION is what ECS is told; the secret is ARN, of seven parts.
    resources = distinct([for from in values(each.value.secrets) : join(":", slice(split(":", from), 0, 7))])
  }

  statement {
    sid       = "DecryptPasswords"
    actions   = ["kms:Decrypt"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "execution" {
  for_each = local.tasks

  name   = "start-tasks"
  role   = aws_iam_role.execution[each.key].id
  policy = data.aws_iam_policy_document.execution[each.key].json
}

# --- The tasks -----------------------------------------------------------------------------------

# `migrate` calls nothing of AWS's, `web` only the queue: Postgres and Redis let them in by password,
# and metrics go out as log lines.
resource "aws_iam_role" "task" {
  for_each = local.tasks

  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

# The admin page shows dead letters, and sends them again.
data "aws_iam_policy_document" "web" {
  statement {
    sid = "LookAtDeadLetters"
    actions = [
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
    ]
    resources = [var.dead_letter_queue_arn]
  }

  statement {
    sid       = "SendAgain"
    actions   = ["sqs:GetQueueAttributes", "sqs:SendMessage"]
    resources = [var.queue_arn]
  }

  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "web" {
  name   = "dead-letters"
  role   = aws_iam_role.task["web"].id
  policy = data.aws_iam_policy_document.web.json
}

data "aws_iam_policy_document" "worker" {
  statement {
    sid = "ReceiveEvents"
    actions = [
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
    ]
    resources = [var.queue_arn]
  }

  # SQS itself puts them there, after five tries.
  statement {
    sid       = "CountDeadLetters"
    actions   = ["sqs:GetQueueAttributes"]
    resources = [var.dead_letter_queue_arn]
  }

  statement {
    sid       = "ReadImports"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["${var.imports_bucket_arn}/*"]
  }

  # Its names are fixed, so that a crash writes the same object again: it reads what it wrote.
  statement {
    sid       = "WriteArchive"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = ["${var.archive_bucket_arn}/${var.archive_prefix}/*"]
  }

  statement {
    sid       = "FindArchive"
    actions   = ["s3:ListBucket"]
    resources = [var.archive_bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.archive_prefix}/*"]
    }
  }

  statement {
    sid       = "Encrypt"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "worker" {
  name   = "queue-and-archive"
  role   = aws_iam_role.task["worker"].id
  policy = data.aws_iam_policy_document.worker.json
}

# --- ECS Exec, where it is switched on -----------------------------------------------------------

data "aws_iam_policy_document" "exec" {
  #checkov:skip=CKV_AWS_356:These five actions have no resource to name; given only where ECS Exec is switched on, and every session is logged
  #checkov:skip=CKV_AWS_111:As above
  statement {
    sid = "OpenSession"
    actions = [
      "logs:DescribeLogGroups",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "LogSession"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${var.log_group_arns["exec"]}:log-stream:*"]
  }

  statement {
    sid       = "EncryptSession"
    actions   = ["kms:Decrypt"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "exec" {
  for_each = var.exec_enabled ? toset(["web", "worker"]) : toset([])

  name   = "exec"
  role   = aws_iam_role.task[each.key].id
  policy = data.aws_iam_policy_document.exec.json
}
