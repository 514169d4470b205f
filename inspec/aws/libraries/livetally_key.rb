# frozen_string_literal: true

require "aws-sdk-kms"
require "livetally_aws"

# Whom a key's policy lets in.
class LivetallyKey < LivetallyAws
  name "livetally_key"
  desc "A KMS key's policy."

  def initialize(arn)
    super()
    @arn = arn
    @found = ask { client(Aws::KMS::Client).get_key_policy(key_id: arn, policy_name: "default").policy }
  end

  # Who isn't our account, and needn't act on its behalf.
  def strangers
    statements(@found).select { |each| each["Effect"] == "Allow" }
      .reject { |each| each["Condition"].to_s.include?(account) }
      .flat_map { |each| principals(each) }.reject { |who| who == "arn:aws:iam::#{account}:root" }.uniq.sort
  end

  def label
    "key #{@arn.to_s.split("/").last}"
  end

  private

  def account
    @arn.split(":")[4]
  end
end
