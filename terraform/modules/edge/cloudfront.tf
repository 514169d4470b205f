# CloudFront, where wanted: the page's files come from S3 near the viewer; everything else, websockets
# too, goes on to the load balancer, which then hears nobody else.

locals {
  # AWS's own policies, the same in every account.
  policies = {
    caching_disabled  = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    caching_optimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"
    all_viewer        = "216adef6-5c7f-47e4-b989-5492eafa07d3"
    security_headers  = "67f7725c-6f97-4210-82d7-5512b31e9d03"
  }
}

resource "aws_s3_bucket" "pages" {
  #checkov:skip=CKV_AWS_145:What everybody may download needs no key of ours; CloudFront would need a right to it
  #checkov:skip=CKV_AWS_18:CloudFront is the only reader
  #checkov:skip=CKV_AWS_144:A deploy puts the files there again
  #checkov:skip=CKV2_AWS_62:Nobody waits for them
  count = var.cloudfront ? 1 : 0

  bucket        = "${var.name}-pages-${data.aws_caller_identity.current.account_id}"
  force_destroy = true
}

resource "aws_s3_bucket_public_access_block" "pages" {
  count = var.cloudfront ? 1 : 0

  bucket                  = aws_s3_bucket.pages[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "pages" {
  count = var.cloudfront ? 1 : 0

  bucket = aws_s3_bucket.pages[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "pages" {
  count = var.cloudfront ? 1 : 0

  bucket = aws_s3_bucket.pages[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# Viewers of a week ago may still ask for last week's files; nobody asks for last year's.
resource "aws_s3_bucket_lifecycle_configuration" "pages" {
  count = var.cloudfront ? 1 : 0

  bucket = aws_s3_bucket.pages[0].id

  rule {
    id     = "tidy"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.pages]
}

data "aws_iam_policy_document" "pages" {
  count = var.cloudfront ? 1 : 0

  statement {
    sid       = "CloudFront"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.pages[0].arn}/*"]

    principals {
      type        = "Service"
      identifiers = ["cloudfront.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudfront_distribution.this[0].arn]
    }
  }

  statement {
    sid       = "OnlyTLS"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.pages[0].arn, "${aws_s3_bucket.pages[0].arn}/*"]

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

resource "aws_s3_bucket_policy" "pages" {
  count = var.cloudfront ? 1 : 0

  bucket = aws_s3_bucket.pages[0].id
  policy = data.aws_iam_policy_document.pages[0].json

  depends_on = [aws_s3_bucket_public_access_block.pages]
}

resource "aws_cloudfront_origin_access_control" "pages" {
  count = var.cloudfront ? 1 : 0

  name                              = "${var.name}-pages"
  description                       = "Only this distribution reads the page's files"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# CloudFront takes certificates from one region only. The proof of the domain is the same record.
resource "aws_acm_certificate" "cloudfront" {
  count = var.cloudfront ? 1 : 0

  provider          = aws.us_east_1
  domain_name       = var.domain_name
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_acm_certificate_validation" "cloudfront" {
  count = var.cloudfront ? 1 : 0

  provider                = aws.us_east_1
  certificate_arn         = aws_acm_certificate.cloudfront[0].arn
  validation_record_fqdns = [aws_route53_record.validation[0].fqdn]
}

# Who asks is known for certain only here: bad reputation and rate. What is asked is looked at by the
# load balancer's own (firewall.tf), and logged there.
resource "aws_wafv2_web_acl" "cloudfront" {
  #checkov:skip=CKV_AWS_192:The load balancer's has those rules: nothing else runs code
  #checkov:skip=CKV2_AWS_31:Each request that it lets through is logged at the load balancer; what it blocks is counted, and sampled for three hours
  count = var.cloudfront ? 1 : 0

  provider    = aws.us_east_1
  name        = "${var.name}-viewers"
  description = "In front of Livetally's CloudFront"
  scope       = "CLOUDFRONT"

  default_action {
    allow {}
  }

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
        aggregate_key_type    = "IP"
      }
    }

    visibility_config {
      metric_name                = "rate"
      cloudwatch_metrics_enabled = true
      sampled_requests_enabled   = true
    }
  }

  rule {
    name     = "AWSManagedRulesAmazonIpReputationList"
    priority = 1

    override_action {
      none {}
    }

    statement {
      managed_rule_group_statement {
        vendor_name = "AWS"
        name        = "AWSManagedRulesAmazonIpReputationList"
      }
    }

    visibility_config {
      metric_name                = "AWSManagedRulesAmazonIpReputationList"
      cloudwatch_metrics_enabled = true
      sampled_requests_enabled   = true
    }
  }

  visibility_config {
    metric_name                = "${var.name}-viewers"
    cloudwatch_metrics_enabled = true
    sampled_requests_enabled   = true
  }
}

resource "aws_cloudfront_distribution" "this" {
  #checkov:skip=CKV2_AWS_47:The load balancer's web ACL has the rules against Log4j's hole: nothing else runs code
  #checkov:skip=CKV2_AWS_32:AWS's own SecurityHeadersPolicy, by its id
  #checkov:skip=CKV_AWS_86:The load balancer logs every request but those for public files
  #checkov:skip=CKV_AWS_305:The root is the service's own page
  #checkov:skip=CKV_AWS_310:The load balancer is the fail-over: it stands in every zone
  #checkov:skip=CKV_AWS_374:Livetally is for viewers anywhere
  count = var.cloudfront ? 1 : 0

  comment         = var.name
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  price_class     = "PriceClass_100"
  web_acl_id      = aws_wafv2_web_acl.cloudfront[0].arn
  aliases         = [var.domain_name]

  origin {
    origin_id   = "service"
    domain_name = aws_lb.this.dns_name

    # The viewer's Host goes along, and the load balancer's certificate is for that.
    custom_origin_config {
      http_port                = 80
      https_port               = 443
      origin_protocol_policy   = "https-only"
      origin_ssl_protocols     = ["TLSv1.2"]
      origin_keepalive_timeout = 60
      origin_read_timeout      = 60
    }
  }

  origin {
    origin_id                = "pages"
    domain_name              = aws_s3_bucket.pages[0].bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.pages[0].id
  }

  default_cache_behavior {
    target_origin_id           = "service"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods             = ["GET", "HEAD"]
    cache_policy_id            = local.policies.caching_disabled
    origin_request_policy_id   = local.policies.all_viewer
    response_headers_policy_id = local.policies.security_headers
    compress                   = false
  }

  # Their names hold their content's hash: cached for ever.
  ordered_cache_behavior {
    path_pattern               = "/assets/*"
    target_origin_id           = "pages"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    cache_policy_id            = local.policies.caching_optimized
    response_headers_policy_id = local.policies.security_headers
    compress                   = true
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    acm_certificate_arn      = aws_acm_certificate_validation.cloudfront[0].certificate_arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }
}
