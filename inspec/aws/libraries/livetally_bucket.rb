# frozen_string_literal: true

require "aws-sdk-s3"
require "livetally_aws"

# What of a bucket the pack's aws_s3_bucket doesn't tell: which key, which owner, how objects age.
class LivetallyBucket < LivetallyAws
  name "livetally_bucket"
  desc "A bucket's encryption key, policy, ownership and lifecycle."

  def initialize(bucket)
    super()
    @bucket = bucket
    @found = ask { s3.head_bucket(bucket: bucket) }
  end

  def encryption
    default_encryption&.sse_algorithm
  end

  def kms_key_id
    default_encryption&.kms_master_key_id
  end

  def tls_only?
    super(policy)
  end

  # Whom its policy lets in, whatever their own policies say.
  def guests
    allowances(policy)
  end

  def versioning
    ask { s3.get_bucket_versioning(bucket: @bucket).status }
  end

  def ownership
    ask { s3.get_bucket_ownership_controls(bucket: @bucket).ownership_controls.rules.first.object_ownership }
  end

  # What happens to objects, as sentences, of the rules that are enabled and for all objects.
  def lifecycle
    rules.flat_map do |rule|
      [
        rule.expiration&.days && "expire after #{rule.expiration.days}",
        rule.noncurrent_version_expiration && "old versions expire after #{rule.noncurrent_version_expiration.noncurrent_days}",
        rule.abort_incomplete_multipart_upload && "unfinished uploads end after #{rule.abort_incomplete_multipart_upload.days_after_initiation}",
        *rule.transitions.to_a.map { |each| "#{each.storage_class} after #{each.days}" },
      ].compact
    end.sort
  end

  def label
    "bucket #{@bucket}"
  end

  private

  def s3
    client(Aws::S3::Client)
  end

  def policy
    ask { s3.get_bucket_policy(bucket: @bucket).policy.read }
  end

  def default_encryption
    ask do
      s3.get_bucket_encryption(bucket: @bucket).server_side_encryption_configuration
        .rules.first.apply_server_side_encryption_by_default
    end
  end

  def rules
    (ask { s3.get_bucket_lifecycle_configuration(bucket: @bucket).rules } || [])
      .select { |rule| rule.status == "Enabled" && (rule.filter.nil? || rule.filter.prefix.to_s.empty?) }
  end
end
