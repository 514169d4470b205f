# frozen_string_literal: true

require "aws-sdk-secretsmanager"
require "livetally_aws"

# A secret, never its value. (The pack's resource of one that isn't there breaks the JSON report.)
class LivetallySecret < LivetallyAws
  name "livetally_secret"
  desc "A secret's key, and whether it is on its way out."

  def initialize(secret_id)
    super()
    @id = secret_id
    @found = ask { client(Aws::SecretsManager::Client).describe_secret(secret_id: secret_id) }
  end

  def kms_key_id
    @found&.kms_key_id
  end

  def deleted_date
    @found&.deleted_date
  end

  def label
    "secret #{@id.to_s.split(":").last}"
  end
end
