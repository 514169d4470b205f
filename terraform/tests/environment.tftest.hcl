# What every environment must be, whatever its file says. No cloud: the provider is a mock.
#
#     terraform test -var-file=environments/prod.tfvars -var image_tag=v1

mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias  = "us_east_1"
  source = "./tests/mocks"
}

run "is_safe" {
  command = plan

  assert {
    condition     = length(module.network.private_subnet_ids) == var.zones && length(module.network.data_subnet_ids) == var.zones
    error_message = "There is a subnet of each kind in every zone."
  }

  assert {
    condition     = output.service.exec_enabled == false
    error_message = "Nobody gets a shell in a task unless it was asked for."
  }

  assert {
    condition     = var.environment != "prod" || (output.database.multi_az && output.cache.nodes >= 2 && var.deletion_protection)
    error_message = "prod survives a zone, and a slip."
  }

  assert {
    condition     = output.service.ping_interval_s * 2 < output.edge.idle_timeout_s
    error_message = "Silent viewers aren't cut off by the load balancer."
  }

  assert {
    condition     = output.service.drain_s < output.service.stop_timeout_s && output.service.drain_s <= output.edge.deregistration_delay_s
    error_message = "A task can let its viewers go before it is killed, or they are cut."
  }
}

run "retired_it_can_be_destroyed" {
  command = plan

  variables {
    retire = true
  }

  assert {
    condition     = local.protected == false
    error_message = "retire takes the protection away."
  }
}
