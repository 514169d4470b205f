# The way in: a load balancer that ends TLS and lets websockets live.

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_76:AWSManagedRulesKnownBadInputsRuleSet has it (firewall.tf); checkov doesn't look into dynamic rules
  name               = var.name
  load_balancer_type = "application"
  internal           = false
  subnets            = var.subnet_ids
  security_groups    = [var.security_group_id]

  idle_timeout                     = var.idle_timeout_s
  drop_invalid_header_fields       = true
  desync_mitigation_mode           = "defensive"
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = var.deletion_protection

  access_logs {
    enabled = true
    bucket  = aws_s3_bucket.logs.id
    prefix  = "access"
  }

  connection_logs {
    enabled = true
    bucket  = aws_s3_bucket.logs.id
    prefix  = "connections"
  }

  lifecycle {
    precondition {
      condition     = var.ping_interval_s * 2 < var.idle_timeout_s
      error_message = "The load balancer cuts connections that are silent for ${var.idle_timeout_s} s: the service's ping every ${var.ping_interval_s} s must come twice in that time."
    }
  }

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_lb_target_group" "web" {
  name        = "${var.name}-web"
  vpc_id      = var.vpc_id
  target_type = "ip"
  port        = var.service_port
  # Inside the VPC, from group to group; the tasks have no certificate to show.
  protocol             = "HTTP"
  deregistration_delay = var.deregistration_delay_s
  # By what a task has to do, open websockets included; with turns a new task would stay empty.
  load_balancing_algorithm_type = "least_outstanding_requests"

  # Any task can serve anybody: there is nothing to stick to.
  stickiness {
    type    = "lb_cookie"
    enabled = false
  }

  # Alive, not ready: while Postgres is away no task is ready, and ECS would replace them all, viewers
  # and all. So they stay, say 503, and are well when it is. (A new one doesn't start without it.)
  health_check {
    path                = "/healthz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  lifecycle {
    precondition {
      condition     = var.deregistration_delay_s >= var.drain_s
      error_message = "A task needs ${var.drain_s} s to let its viewers go, but the load balancer cuts them after ${var.deregistration_delay_s} s."
    }
    precondition {
      condition     = var.deregistration_delay_s >= 60 && var.deregistration_delay_s <= 90
      error_message = "Deregistration takes 60 to 90 s: less and viewers are cut in bunches, more and a deploy takes for ever."
    }
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = local.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.web.arn
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

# Operations are nobody else's: the container's own health check and the target group's ask the
# task itself.
resource "aws_lb_listener_rule" "private" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 1

  condition {
    path_pattern {
      values = ["/metrics"]
    }
  }

  action {
    type = "fixed-response"

    fixed_response {
      content_type = "application/json"
      message_body = jsonencode({ error = { code = "not_found", message = "There is nothing here." } })
      status_code  = "404"
    }
  }
}
