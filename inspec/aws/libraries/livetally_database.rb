# frozen_string_literal: true

require "aws-sdk-rds"
require "livetally_aws"

# Postgres, whether it is an RDS instance or an Aurora cluster with its instances: the same
# questions, so that one set of controls holds for both.
class LivetallyDatabase < LivetallyAws
  name "livetally_database"
  desc "Postgres as RDS runs it (engine rds or aurora)."

  # engine: rds or aurora; identifier: the instance's or the cluster's. (InSpec hands on a hash.)
  def initialize(options)
    super()
    @aurora = options.fetch(:engine) == "aurora"
    @identifier = options.fetch(:identifier)
    @found = ask { @aurora ? cluster : instance(@identifier) }
    @instances = @found ? members : []
  end

  def version
    @found&.engine_version.to_s.split(".").first
  end

  def storage_encrypted
    @found&.storage_encrypted
  end

  def kms_key_id
    @found&.kms_key_id
  end

  def deletion_protection
    @found&.deletion_protection
  end

  def backup_retention_period
    @found&.backup_retention_period
  end

  def log_exports
    (@found&.enabled_cloudwatch_logs_exports || []).sort
  end

  # Whether another zone has all of it: a standby, or a second instance.
  def multi_az
    return nil unless @found

    @aurora ? @instances.length > 1 : @found.multi_az
  end

  def publicly_accessible
    of_instances(&:publicly_accessible)
  end

  def auto_minor_version_upgrade
    of_instances(&:auto_minor_version_upgrade)
  end

  def performance_insights_enabled
    of_instances(&:performance_insights_enabled)
  end

  def monitoring_intervals
    of_instances(&:monitoring_interval)
  end

  def security_group_ids
    (@found&.vpc_security_groups || []).map(&:vpc_security_group_id).sort
  end

  def subnet_ids
    return [] unless @found

    group = @aurora ? @found.db_subnet_group : @found.db_subnet_group&.db_subnet_group_name
    groups = ask { rds.describe_db_subnet_groups(db_subnet_group_name: group).db_subnet_groups } || []
    groups.flat_map { |each| each.subnets.map(&:subnet_identifier) }.sort
  end

  # The secret in which RDS itself keeps and rotates the owner's password, and its key.
  def owner_secret_arn
    @found&.master_user_secret&.secret_arn
  end

  def owner_secret_key
    @found&.master_user_secret&.kms_key_id
  end

  def parameter(name)
    return nil unless @found

    parameters.find { |each| each.parameter_name == name }&.parameter_value
  end

  def force_ssl
    parameter("rds.force_ssl")
  end

  def label
    "Postgres #{@identifier}"
  end

  private

  def rds
    client(Aws::RDS::Client)
  end

  def cluster
    rds.describe_db_clusters(db_cluster_identifier: @identifier).db_clusters.first
  end

  def instance(identifier)
    rds.describe_db_instances(db_instance_identifier: identifier).db_instances.first
  end

  def members
    return [@found] unless @aurora

    @found.db_cluster_members.map { |member| ask { instance(member.db_instance_identifier) } }.compact
  end

  def of_instances(&property)
    @instances.map(&property).uniq
  end

  def parameters
    ask do
      if @aurora
        rds.describe_db_cluster_parameters(db_cluster_parameter_group_name: @found.db_cluster_parameter_group)
          .flat_map(&:parameters)
      else
        rds.describe_db_parameters(db_parameter_group_name: @found.db_parameter_groups.first.db_parameter_group_name)
          .flat_map(&:parameters)
      end
    end || []
  end
end
