# frozen_string_literal: true

require "aws-sdk-applicationautoscaling"
require "aws-sdk-ecs"
require "livetally_aws"

# A cluster's settings, which the pack doesn't tell.
class LivetallyCluster < LivetallyAws
  name "livetally_cluster"
  desc "An ECS cluster: insights, and how sessions in tasks are recorded."

  def initialize(cluster_name)
    super()
    @name = cluster_name
    @found = ask do
      client(Aws::ECS::Client)
        .describe_clusters(clusters: [cluster_name], include: %w[SETTINGS CONFIGURATIONS]).clusters.first
    end
  end

  def container_insights
    @found&.settings.to_a.find { |each| each.name == "containerInsights" }&.value
  end

  def exec_kms_key_id
    @found&.configuration&.execute_command_configuration&.kms_key_id
  end

  def exec_log_group_name
    @found&.configuration&.execute_command_configuration&.log_configuration&.cloud_watch_log_group_name
  end

  def label
    "cluster #{@name}"
  end
end

# The one container of a task definition.
class LivetallyTask < LivetallyAws
  name "livetally_task"
  desc "A task definition and its one container, with what the pack's helpers get wrong."

  def initialize(task_definition)
    super()
    @arn = task_definition
    @found = ask { client(Aws::ECS::Client).describe_task_definition(task_definition: @arn).task_definition }
  end

  def containers
    @found ? @found.container_definitions.length : 0
  end

  def user
    container&.user
  end

  def privileged
    container&.privileged
  end

  def read_only
    container&.readonly_root_filesystem
  end

  def dropped_capabilities
    container&.linux_parameters&.capabilities&.drop.to_a
  end

  def added_capabilities
    container&.linux_parameters&.capabilities&.add.to_a
  end

  def stop_timeout_s
    container&.stop_timeout
  end

  def variable(name)
    (container&.environment || []).find { |each| each.name == name }&.value
  end

  def ping_interval_s
    variable("LIVETALLY_PING_INTERVAL_S")&.to_i
  end

  def drain_s
    variable("LIVETALLY_DRAIN_S")&.to_i
  end

  def log_options
    container&.log_configuration&.options.to_h
  end

  def log_driver
    container&.log_configuration&.log_driver
  end

  # Names of plain variables that look like a secret, or hold a password in an address.
  def secret_variables
    (container&.environment || [])
      .select { |each| each.name.match?(/PASSWORD|SECRET|TOKEN/) || each.value.match?(%r{://[^/@:]*:[^/@]+@}) }
      .map(&:name)
  end

  # Where secrets come from, without the field and version asked of them.
  def secret_sources
    (container&.secrets || []).map { |each| each.value_from.split(":").first(7).join(":") }.uniq.sort
  end

  def label
    "task #{@arn.to_s.split("/").last}"
  end

  private

  def container
    @found&.container_definitions&.first
  end
end

# A service: where its tasks are, and how a deploy goes.
class LivetallyService < LivetallyAws
  name "livetally_service"
  desc "An ECS service: network, deployment and shell."

  # cluster: and service:, by name
  def initialize(options)
    super()
    @cluster = options.fetch(:cluster)
    @service = options.fetch(:service)
    services = ask { client(Aws::ECS::Client).describe_services(cluster: @cluster, services: [@service]).services }
    @found = (services || []).find { |each| each.status == "ACTIVE" }
  end

  def task_definition
    @found&.task_definition
  end

  def public_ip
    network&.assign_public_ip
  end

  def subnet_ids
    network&.subnets.to_a.sort
  end

  def security_group_ids
    network&.security_groups.to_a
  end

  # AWS says nothing of what was never switched on.
  def exec_enabled
    @found && @found.enable_execute_command == true
  end

  def circuit_breaker
    breaker = @found&.deployment_configuration&.deployment_circuit_breaker
    breaker && [breaker.enable, breaker.rollback]
  end

  def minimum_healthy_percent
    @found&.deployment_configuration&.minimum_healthy_percent
  end

  # The alarms that take a deploy back.
  def deployment_alarms
    alarms = @found&.deployment_configuration&.alarms
    alarms && alarms.enable && alarms.rollback ? alarms.alarm_names.sort : []
  end

  # Seconds to wait before fewer tasks run, of every policy that scales it.
  def scale_in_cooldowns
    return [] unless @found

    policies = ask do
      client(Aws::ApplicationAutoScaling::Client)
        .describe_scaling_policies(service_namespace: "ecs", resource_id: "service/#{@cluster}/#{@service}").scaling_policies
    end
    (policies || []).map { |each| each.target_tracking_scaling_policy_configuration&.scale_in_cooldown }.uniq
  end

  def label
    "service #{@service}"
  end

  private

  def network
    @found&.network_configuration&.awsvpc_configuration
  end
end
