# frozen_string_literal: true

require "json"
require "uri"

# What our resources share. A question that AWS refuses or that names nothing is answered with nil,
# and why stands in the report; a property that a resource doesn't have is an error, never nil.
class LivetallyAws < Inspec.resource(1)
  def exist?
    !@found.nil?
  end

  def to_s
    @why ? "#{label} (#{@why})" : label
  end

  private

  def label
    self.class.name
  end

  def client(service)
    inspec.backend.aws_client(service)
  end

  def ask
    yield
  rescue Aws::Errors::ServiceError, ArgumentError, Seahorse::Client::NetworkingError => e
    @why = e.message
    nil
  end

  def listed(value)
    value.is_a?(Array) ? value : [value].compact
  end

  # The statements of a policy document, IAM's own being URL-encoded.
  def statements(document)
    return [] if document.nil? || document.empty?

    listed(JSON.parse(document.start_with?("%") ? URI.decode_www_form_component(document) : document)["Statement"])
  end

  # WHO: ACTIONS from SOURCES of every statement that allows; without a source, whoever that is.
  def allowances(document)
    statements(document).select { |each| each["Effect"] == "Allow" }.map do |each|
      from = beneficiaries(each)
      "#{principals(each).join(" ")}: #{actions(each).sort.join(" ")}#{" from #{from.join(" ")}" if from.any?}"
    end.sort
  end

  # With NotAction it is all but those: as good as all.
  def actions(statement)
    statement.key?("NotAction") ? ["*"] : listed(statement["Action"])
  end

  def principals(statement)
    who = statement["Principal"]
    who.is_a?(Hash) ? who.values.flatten.sort : [who || "everybody but some"]
  end

  # The resources on whose behalf alone a service may do it.
  def beneficiaries(statement)
    tests = (statement["Condition"] || {}).select { |test, _| %w[ArnEquals ArnLike StringEquals StringLike].include?(test) }
    tests.values.flat_map { |each| listed(each.find { |key, _| key.casecmp?("aws:SourceArn") }&.last) }.uniq.sort
  end

  # Whether a policy denies everything to whoever doesn't come by TLS.
  def tls_only?(document)
    statements(document).any? do |each|
      each["Effect"] == "Deny" && [{ "AWS" => "*" }, "*"].include?(each["Principal"]) &&
        listed(each["Action"]).any? { |action| action.match?(/\A(\w+:)?\*\z/) } &&
        each.dig("Condition", "Bool", "aws:SecureTransport") == "false"
    end
  end
end
