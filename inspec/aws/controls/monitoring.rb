# frozen_string_literal: true

# By name, so that one that isn't given is missed.
groups = [*input("log_group_names").values_at("web", "worker", "migrate", "exec"), input("flow_log_group_name"), input("waf_log_group_name")]
alarms = input("alarm_names")

control "livetally-logs-01" do
  impact 0.7
  title "Logs are kept as long as declared"
  desc "Every group has the environment's retention: not for ever, not for a day."
  desc "rationale", "An incident is found weeks later; a log for ever is a liability."
  desc "fix", "log_retention_days in environments/ENVIRONMENT.tfvars."
  tag component: "monitoring", cis: ["CIS Controls 8: 8.10"], nist: %w[AU-11]
  ref "terraform/modules/monitoring"
  groups.each do |group|
    describe livetally_log_group(group) do
      it { should exist }
      its("retention_days") { should eq input("log_retention_days") }
    end
  end
end

control "livetally-logs-02" do
  impact 0.8
  title "Logs are encrypted with our key"
  desc "Every group has the environment's key."
  desc "rationale", "Logs tell who asked for what."
  desc "fix", "kms_key_id of each aws_cloudwatch_log_group."
  tag component: "monitoring", cis: ["CIS Controls 8: 3.11"], nist: %w[AU-9 SC-28]
  ref "terraform/modules/monitoring"
  groups.each do |group|
    describe livetally_log_group(group) do
      it { should exist }
      its("kms_key_id") { should eq input("kms_key_arn") }
    end
  end
end

control "livetally-logs-03" do
  impact 0.6
  title "Errors in logs are counted"
  desc "Each kind of task has a filter that makes its errors a metric, which an alarm watches."
  desc "rationale", "Nobody reads logs until something else tells them to."
  desc "fix", "aws_cloudwatch_log_metric_filter in modules/monitoring."
  tag component: "monitoring", cis: ["CIS Controls 8: 8.11"], nist: %w[AU-6 SI-4]
  ref "terraform/modules/monitoring"
  %w[web worker migrate].each do |task|
    describe livetally_log_group(input("log_group_names")[task]) do
      it { should exist }
      its("filters") { should eq ["Errors-#{task}"] }
    end
  end
end

control "livetally-alarms-01" do
  impact 0.9
  title "Every alarm tells somebody"
  desc "All alarms are there, are on, and go to the one topic."
  desc "rationale", "An alarm that is off looks like a good day."
  desc "fix", "aws_cloudwatch_metric_alarm in modules/monitoring."
  tag component: "monitoring", cis: ["CIS Controls 8: 8.11"], nist: %w[SI-4 IR-4]
  ref "terraform/modules/monitoring"
  describe livetally_alarms(alarms.values) do
    it { should exist }
    its("missing") { should eq [] }
    its("off") { should eq [] }
    its("alarm_actions") { should eq [[input("alarm_topic_arn")]] }
  end
end

control "livetally-alarms-02" do
  impact 0.9
  title "The alarms that matter most go off when they should"
  desc "No healthy task (also when nothing is measured), errors of tasks, dead letters, late messages, slow commits."
  desc "rationale", "A threshold that was raised one night and forgotten is no alarm."
  desc "fix", "modules/monitoring/alarms.tf."
  tag component: "monitoring", cis: ["CIS Controls 8: 8.11"], nist: %w[SI-4 IR-4]
  ref "terraform/modules/monitoring"
  {
    "no-healthy-host" => "HealthyHostCount LessThanThreshold 1.0, missing data breaching",
    "target-5xx" => "HTTPCode_Target_5XX_Count GreaterThanThreshold 50.0, missing data notBreaching",
    "dead-letters" => "ApproximateNumberOfMessagesVisible GreaterThanThreshold 0.0, missing data notBreaching",
    "queue-age" => "ApproximateAgeOfOldestMessage GreaterThanThreshold 600.0, missing data notBreaching",
    "commit-lag" => "CommitMilliseconds GreaterThanThreshold 250.0, missing data notBreaching",
  }.each do |what, condition|
    describe livetally_alarm(alarms[what]) do
      it { should exist }
      its("condition") { should eq condition }
    end
  end
end

control "livetally-alarms-03" do
  impact 0.8
  title "Somebody hears the alarms, and of the bill"
  desc "The topic has a subscriber by e-mail; the budget tells at 80 % spent and 100 % forecast."
  desc "rationale", "An alarm without an ear is a log line."
  desc "fix", "alert_emails in environments/ENVIRONMENT.tfvars; the link in the mail must be followed once."
  tag component: "monitoring", cis: ["CIS Controls 8: 17.2"], nist: %w[IR-4 SI-4]
  ref "terraform/modules/monitoring"
  describe livetally_topic(input("alarm_topic_arn")) do
    it { should exist }
    its("protocols") { should eq ["email"] }
  end
  describe livetally_budget(input("budget_name"), input("alarm_topic_arn").split(":")[4]) do
    it { should exist }
    its("notices") { should eq ["ACTUAL 80", "FORECASTED 100"] }
  end
end
