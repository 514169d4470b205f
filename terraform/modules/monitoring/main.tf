# What tells that something is wrong, and whom.

locals {
  log_groups = {
    web     = "/livetally/${var.name}/web"
    worker  = "/livetally/${var.name}/worker"
    migrate = "/livetally/${var.name}/migrate"
    exec    = "/livetally/${var.name}/exec"
  }
}

# --- Logs ----------------------------------------------------------------------------------------

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is the environment's choice; events themselves are in the archive
  for_each = local.log_groups

  name              = each.value
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# The service logs JSON lines; what is an error there is one here.
resource "aws_cloudwatch_log_metric_filter" "errors" {
  for_each = toset(["web", "worker", "migrate"])

  name           = "errors"
  log_group_name = aws_cloudwatch_log_group.this[each.key].name
  pattern        = "{ ($.level = \"ERROR\") || ($.level = \"CRITICAL\") }"

  metric_transformation {
    namespace     = var.metric_namespace
    name          = "Errors-${each.key}"
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

# --- Who is told ---------------------------------------------------------------------------------

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_budgets_budget" "this" {
  name         = var.name
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:environment$%s", var.environment)]
  }

  dynamic "notification" {
    for_each = length(var.emails) == 0 ? {} : { ACTUAL = 80, FORECASTED = 100 }

    content {
      notification_type          = notification.key
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.emails
    }
  }
}
