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
  description = "A deploy during which one of these goes off is rolled back, by service: web, worker"
  # (Not no-healthy-host: before the first task is there it goes off, and would end the first deploy.
  # Tasks that don't become healthy are the circuit breaker's.)
  value = {
    for service, alarms in { web = ["target-5xx", "latency", "web-errors"], worker = ["worker-errors"] } :
    service => [for what in alarms : aws_cloudwatch_metric_alarm.this[what].alarm_name]
  }
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
