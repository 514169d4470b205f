# frozen_string_literal: true

require "aws-sdk-elasticache"
require "livetally_aws"

# Redis as ElastiCache runs it: what the pack's aws_elasticache_replication_group doesn't tell.
class LivetallyCache < LivetallyAws
  name "livetally_cache"
  desc "A replication group: TLS, who may sign in, and where its nodes are."

  def initialize(replication_group_id)
    super()
    @id = replication_group_id
    @found = ask do
      cache.describe_replication_groups(replication_group_id: @id).replication_groups.first
    end
  end

  def transit_encryption
    @found&.transit_encryption_enabled
  end

  def transit_encryption_mode
    @found&.transit_encryption_mode
  end

  def at_rest_encryption
    @found&.at_rest_encryption_enabled
  end

  def kms_key_id
    @found&.kms_key_id
  end

  def automatic_failover
    @found&.automatic_failover
  end

  def multi_az
    @found&.multi_az
  end

  def nodes
    @found&.member_clusters&.length
  end

  def user_group_ids
    @found&.user_group_ids.to_a
  end

  def subnet_ids
    nodes = members
    groups = nodes.map(&:cache_subnet_group_name).uniq
    groups.flat_map { |name| cache.describe_cache_subnet_groups(cache_subnet_group_name: name).cache_subnet_groups }
      .flat_map { |group| group.subnets.map(&:subnet_identifier) }.sort
  end

  def label
    "Redis #{@id}"
  end

  private

  def cache
    client(Aws::ElastiCache::Client)
  end

  def members
    return [] unless @found

    ask do
      @found.member_clusters.flat_map { |id| cache.describe_cache_clusters(cache_cluster_id: id).cache_clusters }
    end || []
  end
end

# The users of a group, by name: what Redis lets each of them do.
class LivetallyCacheUsers < LivetallyAws
  name "livetally_cache_users"
  desc "The users that may sign in to Redis, with their access strings."

  def initialize(user_group_id)
    super()
    @id = user_group_id
    cache = client(Aws::ElastiCache::Client)
    group = ask { cache.describe_user_groups(user_group_id: @id).user_groups.first }
    @found = group && ask { group.user_ids.flat_map { |id| cache.describe_users(user_id: id).users } }
  end

  def names
    users.map(&:user_name).sort
  end

  def access
    users.to_h { |user| [user.user_name, user.access_string] }
  end

  # Users who need no password.
  def without_password
    users.select { |user| user.authentication.nil? || %w[no-password no_password].include?(user.authentication.type) }
      .map(&:user_name)
  end

  def label
    "users of Redis #{@id}"
  end

  private

  def users
    @found || []
  end
end
