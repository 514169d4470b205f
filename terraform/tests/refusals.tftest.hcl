# What must be refused, one slip at a time, in what is otherwise prod.
#
#     terraform test -var-file=environments/prod.tfvars -var image_tag=v1

mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias  = "us_east_1"
  source = "./tests/mocks"
}

# --- prod can't be single-zone or unprotected ----------------------------------------------------

run "prod_in_two_zones" {
  command = plan

  variables {
    zones = 2
  }

  expect_failures = [var.environment]
}

run "prod_behind_one_nat" {
  command = plan

  variables {
    nat = "one"
  }

  expect_failures = [var.environment]
}

run "prod_without_a_standby" {
  command = plan

  variables {
    database = { engine = "rds", instance_class = "db.r8g.xlarge", multi_az = false, backup_days = 35 }
  }

  expect_failures = [var.environment]
}

run "prod_with_one_cache_node" {
  command = plan

  variables {
    cache = { node_type = "cache.m7g.large", nodes = 1 }
  }

  expect_failures = [var.environment]
}

run "prod_with_one_web_task" {
  command = plan

  variables {
    web = { cpu = 1024, memory = 2048, min = 1, max = 4 }
  }

  expect_failures = [var.environment]
}

run "prod_that_can_be_deleted" {
  command = plan

  variables {
    deletion_protection = false
  }

  expect_failures = [var.environment]
}

run "prod_with_backups_of_a_week" {
  command = plan

  variables {
    database = { engine = "rds", instance_class = "db.r8g.xlarge", multi_az = true, backup_days = 7 }
  }

  expect_failures = [var.environment]
}

run "prod_whose_alarms_nobody_hears" {
  command = plan

  variables {
    alert_emails = []
  }

  expect_failures = [var.environment, check.somebody_is_told]
}

# --- Values ----------------------------------------------------------------------------------------

run "values_that_make_no_sense" {
  command = plan

  variables {
    region             = "Frankfurt"
    image_tag          = "latest"
    cidr               = "10.0.0.0/24"
    nat                = "two"
    rate_limit         = 1
    cache              = { node_type = "m7g.large", nodes = 3 }
    retention_days     = 0
    queue_project      = ""
    worker             = { cpu = 256, memory = 512, min = 3, max = 2, spot = true }
    web                = { cpu = 1000, memory = 2048, min = 2, max = 4 }
    log_retention_days = 8
    monthly_budget_usd = 0
    github_repository  = "livetally"
  }

  expect_failures = [
    var.region,
    var.image_tag,
    var.cidr,
    var.nat,
    var.rate_limit,
    var.cache,
    var.queue_project,
    var.retention_days,
    var.worker,
    var.web,
    var.log_retention_days,
    var.monthly_budget_usd,
    var.github_repository,
  ]
}

run "an_unknown_environment" {
  command = plan

  variables {
    environment = "production"
  }

  expect_failures = [var.environment]
}

run "a_database_that_we_have_not" {
  command = plan

  variables {
    zones        = 4
    database     = { engine = "mysql", multi_az = true, backup_days = 60, instance_class = "db.m1.small", storage_gb = 5 }
    alert_emails = ["nobody"]
    domain_name  = "https://livetally.example"
  }

  expect_failures = [var.zones, var.database, var.alert_emails, var.domain_name]
}

run "no_certificate_at_all" {
  command = plan

  variables {
    zone_name  = null
    cloudfront = false
  }

  expect_failures = [var.certificate_arn]
}

run "a_domain_of_somebody_elses_zone" {
  command = plan

  variables {
    domain_name = "livetally.elsewhere"
  }

  expect_failures = [var.zone_name]
}

run "a_domain_that_only_ends_alike" {
  command = plan

  variables {
    domain_name = "notlivetally.example"
  }

  expect_failures = [var.zone_name]
}

run "what_aws_has_not" {
  command = plan

  variables {
    zone_name       = null
    cloudfront      = false
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    database        = { engine = "aurora", multi_az = true, backup_days = 35, aurora_capacity = { min = 0.7, max = 300 } }
  }

  expect_failures = [var.certificate_arn, var.database]
}

run "aurora_that_shrinks_so_far_that_connections_are_few" {
  command = plan

  variables {
    database = { engine = "aurora", multi_az = true, backup_days = 35, aurora_capacity = { min = 0.5, max = 64 } }
    web      = { cpu = 1024, memory = 2048, min = 6, max = 200 }
  }

  expect_failures = [check.connections_suffice]
}

run "cloudfront_without_a_zone" {
  command = plan

  variables {
    zone_name       = null
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
  }

  expect_failures = [var.cloudfront]
}

# --- What belongs together ---------------------------------------------------------------------------

run "more_tasks_than_postgres_has_connections" {
  command = plan

  variables {
    web = { cpu = 1024, memory = 2048, min = 6, max = 500 }
  }

  expect_failures = [check.connections_suffice]
}
