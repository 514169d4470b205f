output "log_group_names" {
  description = "By task (web, worker, migrate), and exec"
  value       = { for what, group in aws_cloudwatch_log_group.this : what => group.name }
}

output "log_group_arns" {
  description = "By task (web, worker, migrate), and exec"
  value       = { for what, group in aws_cloudwatch_log_group.this : what => group.arn }
}

output "alarm_names" {
  description = "All alarms, by what they watch"
  value       = { for what, alarm in aws_cloudwatch_metric_alarm.this : what => alarm.alarm_name }
}

output "deployment_alarm_names" {
  description = "A deploy during which one of these goes off is rolled back"
  value       = [for what in ["target-5xx", "no-healthy-host"] : aws_cloudwatch_metric_alarm.this[what].alarm_name]
}

output "topic_arn" {
  description = "Where alarms are told"
  value       = aws_sns_topic.alarms.arn
}

output "dashboard_name" {
  description = "The one dashboard"
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "budget_name" {
  description = "The month's budget"
  value       = aws_budgets_budget.this.name
}
