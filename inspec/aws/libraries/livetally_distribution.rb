# frozen_string_literal: true

require "aws-sdk-cloudfront"
require "livetally_aws"

# CloudFront: what viewers may speak to it, and it to the origins.
class LivetallyDistribution < LivetallyAws
  name "livetally_distribution"
  desc "A CloudFront distribution: TLS on both sides, and who reads the bucket."

  def initialize(id)
    super()
    @id = id
    @found = ask { client(Aws::CloudFront::Client).get_distribution(id: id).distribution.distribution_config }
  end

  def minimum_protocol
    @found&.viewer_certificate&.minimum_protocol_version
  end

  def viewer_policies
    return [] unless @found

    ([@found.default_cache_behavior] + @found.cache_behaviors.items.to_a).map(&:viewer_protocol_policy).uniq
  end

  def origin_policies
    origins.map { |origin| origin.custom_origin_config&.origin_protocol_policy }.compact.uniq
  end

  # Origins in S3 that are read without a signature.
  def unsigned_origins
    origins.reject(&:custom_origin_config).select { |origin| origin.origin_access_control_id.to_s.empty? }.map(&:id)
  end

  def label
    "distribution #{@id}"
  end

  private

  def origins
    @found ? @found.origins.items : []
  end
end
