# What the variables that choose do, in what is otherwise prod.
#
#     terraform test -var-file=environments/prod.tfvars -var image_tag=v1

mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias  = "us_east_1"
  source = "./tests/mocks"
}

run "aurora_by_one_variable" {
  command = plan

  variables {
    database = { engine = "aurora", multi_az = true, backup_days = 35, aurora_capacity = { min = 2, max = 32 } }
  }

  assert {
    condition     = output.database.identifier == "livetally-prod"
    error_message = "The cluster takes the instance's place and name."
  }

  assert {
    condition     = contains(keys(module.database.dimensions), "DBClusterIdentifier") && !contains(keys(module.database.dimensions), "DBInstanceIdentifier")
    error_message = "Alarms watch the cluster."
  }
}

run "endpoints_instead_of_nat" {
  command = plan

  variables {
    nat = "none"
  }

  assert {
    condition     = contains(keys(output.network.security_group_ids), "endpoints")
    error_message = "Without a NAT tasks need endpoints."
  }
}

run "a_certificate_from_elsewhere" {
  command = plan

  variables {
    zone_name       = null
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    cloudfront      = false
  }

  assert {
    condition     = output.edge.pages_bucket_name == null && output.edge.distribution_id == null
    error_message = "No CloudFront, nothing of it."
  }
}

run "nobody_deploys_from_github" {
  command = plan

  variables {
    github_repository = null
  }

  assert {
    condition     = output.github_role_arns == null && length(module.access) == 0
    error_message = "No repository, no role for it."
  }
}
