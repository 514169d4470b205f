# Times that must agree: each module refuses those that don't.
#
#     terraform test -var-file=environments/prod.tfvars -var image_tag=v1

mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias  = "us_east_1"
  source = "./tests/mocks"
}

variables {
  name                   = "livetally-test"
  domain_name            = "livetally.example"
  zone_name              = null
  certificate_arn        = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
  cloudfront             = false
  vpc_id                 = "vpc-1"
  subnet_ids             = ["subnet-1", "subnet-2"]
  security_group_id      = "sg-1"
  service_port           = 8080
  idle_timeout_s         = 120
  ping_interval_s        = 20
  deregistration_delay_s = 75
  drain_s                = 25
  stop_timeout_s         = 120
  rate_limit             = 1000
  deletion_protection    = false
  log_retention_days     = 7
  kms_key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/1"
}

run "an_edge_that_fits" {
  command = plan

  module {
    source = "./modules/edge"
  }

  providers = { aws = aws, aws.us_east_1 = aws.us_east_1 }
}

run "pings_that_come_too_late" {
  command = plan

  module {
    source = "./modules/edge"
  }

  providers = { aws = aws, aws.us_east_1 = aws.us_east_1 }

  variables {
    ping_interval_s = 60
  }

  expect_failures = [aws_lb.this]
}

run "an_idle_time_that_is_too_short" {
  command = plan

  module {
    source = "./modules/edge"
  }

  providers = { aws = aws, aws.us_east_1 = aws.us_east_1 }

  variables {
    idle_timeout_s = 40
  }

  expect_failures = [aws_lb.this]
}

run "viewers_cut_before_they_are_let_go" {
  command = plan

  module {
    source = "./modules/edge"
  }

  providers = { aws = aws, aws.us_east_1 = aws.us_east_1 }

  variables {
    drain_s = 80
  }

  expect_failures = [aws_lb_target_group.web]
}

run "a_deploy_that_takes_for_ever" {
  command = plan

  module {
    source = "./modules/edge"
  }

  providers = { aws = aws, aws.us_east_1 = aws.us_east_1 }

  variables {
    deregistration_delay_s = 300
  }

  expect_failures = [aws_lb_target_group.web]
}

run "viewers_cut_in_bunches" {
  command = plan

  module {
    source = "./modules/edge"
  }

  providers = { aws = aws, aws.us_east_1 = aws.us_east_1 }

  variables {
    deregistration_delay_s = 50
  }

  expect_failures = [aws_lb_target_group.web]
}

run "a_task_killed_while_it_drains" {
  command = plan

  module {
    source = "./modules/service"
  }

  variables {
    drain_s                = 104
    image_tag              = "v1"
    web                    = { cpu = 256, memory = 512, min = 1, max = 1, requests_per_minute = 1, viewers = 1 }
    worker                 = { cpu = 256, memory = 512, min = 1, max = 1, spot = false }
    environment            = {}
    web_environment        = {}
    worker_environment     = {}
    migrate_environment    = {}
    secrets                = {}
    migrate_secrets        = {}
    port                   = 8080
    exec_enabled           = false
    target_group_arn       = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/a/1"
    request_count_label    = "app/a/1/targetgroup/a/1"
    metric_namespace       = "Livetally/test"
    deployment_alarm_names = { web = ["a"], worker = ["b"] }
    log_group_names        = { web = "w", worker = "k", migrate = "m", exec = "e" }
    log_group_arns = {
      web     = "arn:aws:logs:eu-central-1:123456789012:log-group:w"
      worker  = "arn:aws:logs:eu-central-1:123456789012:log-group:k"
      migrate = "arn:aws:logs:eu-central-1:123456789012:log-group:m"
      exec    = "arn:aws:logs:eu-central-1:123456789012:log-group:e"
    }
    queue_arn             = "arn:aws:sqs:eu-central-1:123456789012:a"
    dead_letter_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:b"
    imports_bucket_arn    = "arn:aws:s3:::a"
    archive_bucket_arn    = "arn:aws:s3:::b"
    archive_prefix        = "events"
  }

  expect_failures = [aws_ecs_task_definition.this]
}
