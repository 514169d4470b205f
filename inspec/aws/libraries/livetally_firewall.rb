# frozen_string_literal: true

require "aws-sdk-wafv2"
require "livetally_aws"

# The web ACL that stands before a load balancer (the pack knows only the older WAF).
class LivetallyWebAcl < LivetallyAws
  name "livetally_web_acl"
  desc "The WAFv2 web ACL before a load balancer, and its rules."

  def initialize(load_balancer_arn)
    super()
    @arn = load_balancer_arn
    @found = ask { waf.get_web_acl_for_resource(resource_arn: load_balancer_arn).web_acl }
  end

  def arn
    @found&.arn
  end

  # Managed groups whose verdict counts, in order.
  def managed_groups
    rules.select { |rule| rule.statement.managed_rule_group_statement && rule.override_action&.none }
      .map { |rule| rule.statement.managed_rule_group_statement.name }
  end

  # Limits of requests from one address that block.
  def blocking_rates
    rules.select { |rule| rule.statement.rate_based_statement && rule.action&.block }
      .map { |rule| rule.statement.rate_based_statement.limit }
  end

  def label
    "web ACL of #{@arn.to_s.split("/")[-2]}"
  end

  private

  def waf
    client(Aws::WAFV2::Client)
  end

  def rules
    @found ? @found.rules.sort_by(&:priority) : []
  end
end

# What a web ACL logs, whatever it stands before.
class LivetallyWebAclLog < LivetallyAws
  name "livetally_web_acl_log"
  desc "Where a WAFv2 web ACL logs to, and what it blacks out."

  def initialize(web_acl_arn)
    super()
    @arn = web_acl_arn
    @found = ask { client(Aws::WAFV2::Client).get_logging_configuration(resource_arn: @arn).logging_configuration }
  end

  def log_group_names
    (@found&.log_destination_configs || []).map { |arn| arn.split(":")[6] }
  end

  # Names of headers, or the part of the request.
  def redacted
    (@found&.redacted_fields || [])
      .map { |field| field.single_header ? field.single_header.name : field.to_h.keys.first.to_s }.sort
  end

  def label
    "log of web ACL #{@arn.to_s.split("/")[-2]}"
  end
end
