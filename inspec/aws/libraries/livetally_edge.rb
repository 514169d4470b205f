# frozen_string_literal: true

require "aws-sdk-elasticloadbalancingv2"
require "livetally_aws"

# A load balancer's attributes, and those of the group it forwards to.
class LivetallyLoadBalancer < LivetallyAws
  name "livetally_load_balancer"
  desc "A load balancer's attributes, by their names in AWS."

  def initialize(arn)
    super()
    @arn = arn
    @found = ask { attributes_of }
  end

  def attribute(name)
    (@found || {})[name]
  end

  def idle_timeout_s
    attribute("idle_timeout.timeout_seconds")&.to_i
  end

  def drop_invalid_headers
    attribute("routing.http.drop_invalid_header_fields.enabled")
  end

  def desync_mitigation
    attribute("routing.http.desync_mitigation_mode")
  end

  def deletion_protection
    attribute("deletion_protection.enabled")
  end

  def access_logs
    [attribute("access_logs.s3.enabled"), attribute("access_logs.s3.bucket")]
  end

  def connection_logs
    [attribute("connection_logs.s3.enabled"), attribute("connection_logs.s3.bucket")]
  end

  def label
    "load balancer #{@arn.to_s.split("/")[-2]}"
  end

  private

  def attributes_of
    client(Aws::ElasticLoadBalancingV2::Client)
      .describe_load_balancer_attributes(load_balancer_arn: @arn).attributes.to_h { |each| [each.key, each.value] }
  end
end

# A target group: how tasks leave it, and how it finds out that they are well.
class LivetallyTargetGroup < LivetallyAws
  name "livetally_target_group"
  desc "A target group's attributes and health check."

  def initialize(arn)
    super()
    @arn = arn
    elb = client(Aws::ElasticLoadBalancingV2::Client)
    @found = ask { elb.describe_target_groups(target_group_arns: [arn]).target_groups.first }
    @attributes = @found ? elb.describe_target_group_attributes(target_group_arn: arn).attributes.to_h { |each| [each.key, each.value] } : {}
  end

  def deregistration_delay_s
    @attributes["deregistration_delay.timeout_seconds"]&.to_i
  end

  def stickiness
    @attributes["stickiness.enabled"]
  end

  def health_check_path
    @found&.health_check_path
  end

  def label
    "target group #{@arn.to_s.split("/")[-2]}"
  end
end

# What a listener does: with paths of its own, and with everything else.
class LivetallyListener < LivetallyAws
  name "livetally_listener"
  desc "A listener's default action and rules, as sentences."

  def initialize(arn)
    super()
    @arn = arn
    elb = client(Aws::ElasticLoadBalancingV2::Client)
    @found = ask { elb.describe_listeners(listener_arns: [arn]).listeners.first }
    @rules = @found ? elb.describe_rules(listener_arn: arn).rules : []
  end

  def port
    @found&.port
  end

  def protocol
    @found&.protocol
  end

  def ssl_policy
    @found&.ssl_policy
  end

  def certificates
    @found&.certificates.to_a.length
  end

  def default_action
    @found && sentence(@found.default_actions.first)
  end

  # PATHS: ACTION of every other rule.
  def rules
    @rules.reject { |rule| rule.priority == "default" }.map do |rule|
      paths = rule.conditions.flat_map { |each| each.path_pattern_config&.values || each.values || [] }
      "#{paths.join(" ")}: #{sentence(rule.actions.first)}"
    end.sort
  end

  def label
    "listener #{@found&.port || @arn.to_s.split("/").last}"
  end

  private

  def sentence(action)
    case action.type
    when "redirect" then "redirect #{action.redirect_config.status_code} to #{action.redirect_config.protocol} #{action.redirect_config.port}"
    when "fixed-response" then "answer #{action.fixed_response_config.status_code}"
    else action.type
    end
  end
end
