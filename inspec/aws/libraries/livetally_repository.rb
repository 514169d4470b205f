# frozen_string_literal: true

require "aws-sdk-ecr"
require "livetally_aws"

# Where images are (the pack doesn't tell how they are encrypted).
class LivetallyRepository < LivetallyAws
  name "livetally_repository"
  desc "An ECR repository: tags, scans and encryption."

  def initialize(repository_name)
    super()
    @name = repository_name
    @found = ask { client(Aws::ECR::Client).describe_repositories(repository_names: [@name]).repositories.first }
  end

  def tags
    @found&.image_tag_mutability
  end

  def scanned
    @found&.image_scanning_configuration&.scan_on_push
  end

  # The kind, and the key.
  def encryption
    [@found&.encryption_configuration&.encryption_type, @found&.encryption_configuration&.kms_key]
  end

  def label
    "repository #{@name}"
  end
end
