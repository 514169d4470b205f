# WAF in front of the load balancer. Bodies here are other people's text (URLs, HTML, up to 1 MiB):
# the rules that would take an event for an attack only count.

locals {
  managed_rules = [
    {
      name       = "AWSManagedRulesAmazonIpReputationList"
      only_count = []
    },
    {
      name       = "AWSManagedRulesKnownBadInputsRuleSet"
      only_count = []
    },
    {
      name = "AWSManagedRulesCommonRuleSet"
      only_count = [
        "CrossSiteScripting_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "GenericRFI_QUERYARGUMENTS",    # ?url=http://…
        "NoUserAgent_HEADER",           # devices
        "SizeRestrictions_BODY",        # 8 KB; we refuse over 1 MiB
        "SizeRestrictions_QUERYSTRING", # a subject of 1,024 characters, escaped
      ]
    },
  ]
}

resource "aws_wafv2_web_acl" "this" {
  name        = var.name
  description = "In front of Livetally's load balancer"
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  # Behind CloudFront the sender stands in a header, after whatever else the sender wrote there. The
  # whole of it counts: by its first address (FORWARDED_IP) anybody could have anybody else blocked.
  # Who writes something else each time is limited by CloudFront's own web ACL.
  rule {
    name     = "rate"
    priority = 0

    action {
      block {}
    }

    statement {
      rate_based_statement {
        limit                 = var.rate_limit
        evaluation_window_sec = 300
        aggregate_key_type    = var.cloudfront ? "CUSTOM_KEYS" : "IP"

        dynamic "custom_key" {
          for_each = var.cloudfront ? [1] : []

          content {
            header {
              name = "x-forwarded-for"

              text_transformation {
                priority = 0
                type     = "NONE"
              }
            }
          }
        }
      }
    }

    visibility_config {
      metric_name                = "rate"
      cloudwatch_metrics_enabled = true
      sampled_requests_enabled   = true
    }
  }

  dynamic "rule" {
    for_each = local.managed_rules

    content {
      name     = rule.value.name
      priority = rule.key + 1

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.value.name

          dynamic "rule_action_override" {
            for_each = rule.value.only_count

            content {
              name = rule_action_override.value

              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        metric_name                = rule.value.name
        cloudwatch_metrics_enabled = true
        sampled_requests_enabled   = true
      }
    }
  }

  visibility_config {
    metric_name                = var.name
    cloudwatch_metrics_enabled = true
    sampled_requests_enabled   = true
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  resource_arn = aws_lb.this.arn
  web_acl_arn  = aws_wafv2_web_acl.this.arn
}

# --- What it blocked -----------------------------------------------------------------------------

resource "aws_cloudwatch_log_group" "waf" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is the environment's choice
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.waf.arn]

  # Keys are no log's business, wherever they stand.
  redacted_fields {
    single_header {
      name = "authorization"
    }
  }

  redacted_fields {
    single_header {
      name = "x-api-key"
    }
  }

  redacted_fields {
    query_string {}
  }

  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }

      condition {
        action_condition {
          action = "COUNT"
        }
      }
    }
  }
}
