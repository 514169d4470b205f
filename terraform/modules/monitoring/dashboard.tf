# One page for the question "is it well?", in the order of an event's journey.

locals {
  panels = [
    { title = "Requests", statistic = "Sum", metrics = [
      ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.load_balancer_dimension],
      ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "LoadBalancer", var.load_balancer_dimension],
    ] },
    { title = "Answer time, p95 (s)", statistic = "p95", metrics = [
      ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.load_balancer_dimension],
    ] },
    { title = "Events stored, of all tasks", statistic = "Sum", metrics = [
      [var.metric_namespace, "EventsAccepted"],
      [var.metric_namespace, "EventsDuplicate"],
    ] },
    { title = "Commit (ms), and events that wait for one", statistic = "Average", metrics = [
      [var.metric_namespace, "CommitMilliseconds"],
      [var.metric_namespace, "QueueEvents"],
    ] },
    { title = "Viewers a task", statistic = "Average", metrics = [
      [var.metric_namespace, "Viewers"],
    ] },
    { title = "Tasks' CPU and memory (%)", statistic = "Average", metrics = [
      ["AWS/ECS", "CPUUtilization", "ClusterName", var.name, "ServiceName", "web"],
      ["AWS/ECS", "MemoryUtilization", "ClusterName", var.name, "ServiceName", "web"],
      ["AWS/ECS", "CPUUtilization", "ClusterName", var.name, "ServiceName", "worker"],
    ] },
    { title = "Postgres: CPU (%), connections", statistic = "Average", metrics = [
      concat(["AWS/RDS", "CPUUtilization"], flatten([for name, value in var.database_dimensions : [name, value]])),
      concat(["AWS/RDS", "DatabaseConnections"], flatten([for name, value in var.database_dimensions : [name, value]])),
    ] },
    { title = "Redis: CPU of the engine (%)", statistic = "Average", metrics = [
      for node in var.cache_nodes : ["AWS/ElastiCache", "EngineCPUUtilization", "CacheClusterId", node]
    ] },
    { title = "Queue: oldest message (s), dead letters", statistic = "Maximum", metrics = [
      ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.queue_name],
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.dead_letter_queue_name],
    ] },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [for n, panel in local.panels : {
      type   = "metric"
      x      = n % 3 * 8
      y      = floor(n / 3) * 6
      width  = 8
      height = 6
      properties = {
        title   = panel.title
        region  = data.aws_region.current.name
        stat    = panel.statistic
        period  = 60
        view    = "timeSeries"
        metrics = panel.metrics
      }
    }]
  })
}

data "aws_region" "current" {}
