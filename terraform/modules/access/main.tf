# GitHub may deploy, without a key that could be stolen: its workflows show a token (OIDC) that says
# which repository they run for, and why. `plan` is for pull requests and reads; `apply` is for the
# environment that a tag deploys to, and can roll out an image. Whoever changes anything else in
# AWS is a person with rights of their own.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  subjects = {
    plan  = "repo:${var.repository}:pull_request"
    apply = "repo:${var.repository}:environment:${var.environment}"
  }
  state_bucket = "arn:aws:s3:::livetally-terraform-${local.account}"
}

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "assume" {
  for_each = local.subjects

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = [each.value]
    }
  }
}

resource "aws_iam_role" "github" {
  for_each = local.subjects

  name                 = "${var.name}-github-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.assume[each.key].json
  max_session_duration = 3600
}

# --- Both read -----------------------------------------------------------------------------------

# Terraform reads everything it made before it says what would change. It doesn't read what users
# sent, nor secrets but those that are in its state.
resource "aws_iam_role_policy_attachment" "read" {
  for_each = aws_iam_role.github

  role       = each.value.name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
}

data "aws_iam_policy_document" "read" {
  #checkov:skip=CKV_AWS_356:secretsmanager:GetRandomPassword has no resource to name: it makes up letters, and reads nothing
  statement {
    sid    = "NotWhatUsersSent"
    effect = "Deny"
    actions = [
      "athena:GetQueryResults*",
      "logs:FilterLogEvents",
      "logs:GetLogEvents",
      "logs:GetLogObject",
      "logs:GetLogRecord",
      "logs:GetQueryResults",
      "logs:StartLiveTail",
      "logs:StartQuery",
      "rds:Download*",
      "sqs:ReceiveMessage",
      "wafv2:GetSampledRequests",
    ]
    resources = ["*"]
  }

  statement {
    sid           = "NoObjectsButTheState"
    effect        = "Deny"
    actions       = ["s3:GetObject", "s3:GetObjectVersion"]
    not_resources = ["${local.state_bucket}/${var.environment}/*"]
  }

  # What ReadOnlyAccess lacks of what a plan asks.
  statement {
    sid       = "DrawPassword"
    actions   = ["secretsmanager:GetRandomPassword"]
    resources = ["*"]
  }

  statement {
    sid     = "LookAtArchiveTable"
    actions = ["glue:GetPartitionIndexes"]
    resources = [
      "arn:aws:glue:${local.region}:${local.account}:catalog",
      "arn:aws:glue:${local.region}:${local.account}:database/${split(".", var.glue_table)[0]}",
      "arn:aws:glue:${local.region}:${local.account}:table/${replace(var.glue_table, ".", "/")}",
    ]
  }

  statement {
    sid       = "SecretsInTheState"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = var.state_secret_arns
  }

  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt"]
    resources = [var.kms_key_arn]
  }

  # Nobody else may change the environment meanwhile.
  statement {
    sid       = "LockState"
    actions   = ["s3:DeleteObject", "s3:PutObject"]
    resources = ["${local.state_bucket}/${var.environment}/terraform.tfstate.tflock"]
  }
}

resource "aws_iam_role_policy" "read" {
  for_each = aws_iam_role.github

  name   = "read"
  role   = each.value.id
  policy = data.aws_iam_policy_document.read.json
}

# --- `apply` rolls out ---------------------------------------------------------------------------

data "aws_iam_policy_document" "deploy" {
  #checkov:skip=CKV_AWS_356:ecr:GetAuthorizationToken and ecs:RegisterTaskDefinition have no resource to name
  #checkov:skip=CKV_AWS_111:As above
  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject"]
    resources = ["${local.state_bucket}/${var.environment}/terraform.tfstate"]
  }

  statement {
    sid       = "WithoutName"
    actions   = ["ecr:GetAuthorizationToken", "ecs:DeregisterTaskDefinition", "ecs:RegisterTaskDefinition"]
    resources = ["*"]
  }

  statement {
    sid = "PushImage"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:CompleteLayerUpload",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = [var.repository_arn]
  }

  statement {
    sid       = "RollOut"
    actions   = ["ecs:UpdateService"]
    resources = var.service_arns
  }

  statement {
    sid       = "Migrate"
    actions   = ["ecs:RunTask"]
    resources = ["arn:aws:ecs:${local.region}:${local.account}:task-definition/${var.name}-migrate:*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster_arn]
    }
  }

  statement {
    sid       = "TagTasks"
    actions   = ["ecs:TagResource"]
    resources = ["arn:aws:ecs:${local.region}:${local.account}:task-definition/${var.name}-*:*"]
  }

  statement {
    sid       = "HandRolesToTasks"
    actions   = ["iam:PassRole"]
    resources = var.task_role_arns

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  dynamic "statement" {
    for_each = var.pages_bucket_name == null ? [] : [var.pages_bucket_name]

    content {
      sid       = "PutPages"
      actions   = ["s3:PutObject"]
      resources = ["arn:aws:s3:::${statement.value}/assets/*"]
    }
  }
}

resource "aws_iam_role_policy" "deploy" {
  name   = "deploy"
  role   = aws_iam_role.github["apply"].id
  policy = data.aws_iam_policy_document.deploy.json
}
