# frozen_string_literal: true

require "aws-sdk-budgets"
require "aws-sdk-cloudwatch"
require "aws-sdk-cloudwatchlogs"
require "livetally_aws"

# An alarm by its name (the pack finds alarms by metric, and doesn't tell their threshold).
class LivetallyAlarm < LivetallyAws
  name "livetally_alarm"
  desc "A CloudWatch alarm, and when it goes off."

  def initialize(alarm_name)
    super()
    @name = alarm_name
    @found = ask { client(Aws::CloudWatch::Client).describe_alarms(alarm_names: [alarm_name]).metric_alarms.first }
  end

  # METRIC COMPARISON THRESHOLD, missing data TREATMENT
  def condition
    @found && "#{@found.metric_name} #{@found.comparison_operator} #{@found.threshold}, missing data #{@found.treat_missing_data}"
  end

  def label
    "alarm #{@name}"
  end
end

# All alarms together: whether each of them tells somebody.
class LivetallyAlarms < LivetallyAws
  name "livetally_alarms"
  desc "Alarms by their names: which are missing or off, and whom they tell."

  def initialize(names)
    super()
    @names = names
    @found = ask { names.each_slice(100).flat_map { |some| look_up(some) } }
    @found = nil if @found.to_a.empty?
  end

  def missing
    @names - alarms.map(&:alarm_name)
  end

  def off
    alarms.reject(&:actions_enabled).map(&:alarm_name)
  end

  # Whom they tell: every answer once.
  def alarm_actions
    alarms.map { |alarm| alarm.alarm_actions.to_a }.uniq
  end

  def label
    "alarms"
  end

  private

  # Of no name at all AWS would tell every alarm.
  def look_up(names)
    client(Aws::CloudWatch::Client).describe_alarms(alarm_names: names, max_records: 100).metric_alarms
  end

  def alarms
    @found || []
  end
end

# A log group by its whole name (the pack takes the first that begins so).
class LivetallyLogGroup < LivetallyAws
  name "livetally_log_group"
  desc "A log group: how long it keeps, with which key."

  def initialize(log_group_name)
    super()
    @name = log_group_name
    groups = ask { client(Aws::CloudWatchLogs::Client).describe_log_groups(log_group_name_prefix: log_group_name).log_groups }
    @found = (groups || []).find { |each| each.log_group_name == log_group_name }
  end

  def retention_days
    @found&.retention_in_days
  end

  def kms_key_id
    @found&.kms_key_id
  end

  # PATTERN to METRIC of what is counted in it.
  def filters
    return [] unless @found

    (ask { client(Aws::CloudWatchLogs::Client).describe_metric_filters(log_group_name: @name).metric_filters } || [])
      .flat_map { |each| each.metric_transformations.map(&:metric_name) }.sort
  end

  def label
    "log group #{@name}"
  end
end

# The month's budget.
class LivetallyBudget < LivetallyAws
  name "livetally_budget"
  desc "A budget, and at what somebody is told."

  def initialize(name, account_id)
    super()
    @name = name
    @account = account_id
    @found = ask { budgets.describe_budget(account_id: account_id, budget_name: name).budget }
  end

  # KIND THRESHOLD of every notice
  def notices
    return [] unless @found

    (ask { budgets.describe_notifications_for_budget(account_id: @account, budget_name: @name).notifications } || [])
      .map { |each| "#{each.notification_type} #{each.threshold.to_i}" }.sort
  end

  def label
    "budget #{@name}"
  end

  private

  def budgets
    client(Aws::Budgets::Client)
  end
end
