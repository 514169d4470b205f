# frozen_string_literal: true

require "aws-sdk-iam"
require "livetally_aws"

# A role: who may take it, and everything it may do by policies of its own.
class LivetallyRole < LivetallyAws
  name "livetally_role"
  desc "An IAM role's trust and inline policies, read statement by statement."

  def initialize(role_name)
    super()
    @name = role_name
    @found = ask { iam.get_role(role_name: role_name).role }
  end

  # Who may take the role: services or federations.
  def trusted
    trust.flat_map { |each| principals(each) }.uniq.sort
  end

  # Whether each way to take it is bound to our own account.
  def bound_to_account
    account = @found&.arn.to_s.split(":")[4]
    !trust.empty? && trust.all? { |each| each.dig("Condition", "StringEquals", "aws:SourceAccount") == account }
  end

  # Who a federation must say it speaks for, and to whom.
  def subjects
    trust.map { |each| each.dig("Condition", "StringEquals").to_h.find { |name, _| name.end_with?(":sub") }&.last }
  end

  def audiences
    trust.map { |each| each.dig("Condition", "StringEquals").to_h.find { |name, _| name.end_with?(":aud") }&.last }
  end

  def attached_policies
    return [] unless @found

    (ask { iam.list_attached_role_policies(role_name: @name).attached_policies } || []).map(&:policy_name).sort
  end

  # Actions that are allowed with a wildcard in their service's place or for all of a service.
  def wildcard_actions
    allowed.flat_map { |each| actions(each) }.select { |action| action == "*" || action.end_with?(":*") }.sort
  end

  # Actions that are allowed on any resource, or on any of a service's.
  def actions_on_everything
    allowed.select { |each| each.key?("NotResource") || listed(each["Resource"]).any? { |resource| everything?(resource) } }
      .flat_map { |each| actions(each) }.uniq.sort
  end

  # The secrets it may read.
  def secrets
    allowed.select { |each| actions(each).any? { |action| File.fnmatch(action, "secretsmanager:GetSecretValue", File::FNM_CASEFOLD) } }
      .flat_map { |each| listed(each["Resource"] || "*") }.uniq.sort
  end

  def max_session_s
    @found&.max_session_duration
  end

  def label
    "role #{@name}"
  end

  private

  def iam
    client(Aws::IAM::Client)
  end

  # arn:aws:s3:::* and arn:aws:secretsmanager:…:secret:* name nothing; all of one bucket is a name.
  def everything?(resource)
    service, name = resource.split(":", 6).values_at(2, 5)
    resource == "*" || name.to_s.match?(service == "s3" ? %r{\A\*(/|\z)} : %r{\A([\w-]+[:/])?\*})
  end

  def trust
    @found ? statements(@found.assume_role_policy_document) : []
  end

  def allowed
    @allowed ||= policies.flat_map { |document| statements(document) }.select { |each| each["Effect"] == "Allow" }
  end

  def policies
    return [] unless @found

    ask do
      iam.list_role_policies(role_name: @name).policy_names
        .map { |policy| iam.get_role_policy(role_name: @name, policy_name: policy).policy_document }
    end || []
  end
end
