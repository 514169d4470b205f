# Each alarm: what it watches and why somebody should get up. All go to the one topic.

locals {
  lb     = { LoadBalancer = var.load_balancer_dimension }
  target = { LoadBalancer = var.load_balancer_dimension, TargetGroup = var.target_group_dimension }

  alarms = merge(
    {
      target-5xx = {
        why       = "Tasks answer with errors. During a deploy this rolls it back"
        namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = local.target
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 50, minutes = 2, missing = "notBreaching"
      }
      load-balancer-5xx = {
        why       = "The load balancer finds no task that answers"
        namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = local.lb
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 20, minutes = 3, missing = "notBreaching"
      }
      latency = {
        why       = "One request in twenty takes over a second: look at commit times, then at CPU. During a deploy this rolls it back"
        namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", dimensions = local.target
        statistic = "p95", comparison = "GreaterThanThreshold", threshold = 1, minutes = 5, missing = "notBreaching"
      }
      no-healthy-host = {
        why       = "No task can take requests"
        namespace = "AWS/ApplicationELB", metric = "HealthyHostCount", dimensions = local.target
        statistic = "Minimum", comparison = "LessThanThreshold", threshold = 1, minutes = 2, missing = "breaching"
      }
      commit-lag = {
        why       = "Storing takes long: Postgres is the bottleneck, or its disk"
        namespace = var.metric_namespace, metric = "CommitMilliseconds", dimensions = {}
        statistic = "Average", comparison = "GreaterThanThreshold", threshold = 250, minutes = 5, missing = "notBreaching"
      }
      web-errors = {
        why       = "The web tasks log errors. During a deploy this rolls it back"
        namespace = var.metric_namespace, metric = "Errors-web", dimensions = {}
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 10, minutes = 5, missing = "notBreaching"
      }
      worker-errors = {
        why       = "The workers log errors. During a deploy this rolls it back"
        namespace = var.metric_namespace, metric = "Errors-worker", dimensions = {}
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 10, minutes = 5, missing = "notBreaching"
      }
      queue-age = {
        why       = "The oldest message has waited for ten minutes: the workers are away or can't keep up"
        namespace = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = var.queue_name }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 600, minutes = 5, missing = "notBreaching"
      }
      dead-letters = {
        why       = "Messages that can't be counted wait to be looked at: see the admin page"
        namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.dead_letter_queue_name }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 0, minutes = 1, missing = "notBreaching"
      }
      database-cpu = {
        why       = "Postgres has no CPU to spare: a larger class"
        namespace = "AWS/RDS", metric = "CPUUtilization", dimensions = var.database_dimensions
        statistic = "Average", comparison = "GreaterThanThreshold", threshold = 80, minutes = 15, missing = "missing"
      }
      database-connections = {
        why       = "Nearly all of Postgres's connections are taken: fewer tasks, smaller pools or a larger class"
        namespace = "AWS/RDS", metric = "DatabaseConnections", dimensions = var.database_dimensions
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = floor(var.database_connections * 0.8), minutes = 5, missing = "missing"
      }
    },
    var.aurora ? {
      replica-lag = {
        why       = "Aurora's second instance is behind: a fail-over would take long"
        namespace = "AWS/RDS", metric = "AuroraReplicaLagMaximum", dimensions = var.database_dimensions
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 1000, minutes = 5, missing = "notBreaching"
      }
      storage = {
        why       = "Aurora's local disk (sorts, temporary files) is nearly full"
        namespace = "AWS/RDS", metric = "FreeLocalStorage", dimensions = var.database_dimensions
        statistic = "Minimum", comparison = "LessThanThreshold", threshold = 5 * 1024 * 1024 * 1024, minutes = 5, missing = "missing"
      }
      } : {
      # A Multi-AZ standby takes every commit at once; what lags then is the write-ahead log's disk.
      replica-lag = {
        why       = "Writes wait for the disk or the standby"
        namespace = "AWS/RDS", metric = "WriteLatency", dimensions = var.database_dimensions
        statistic = "Average", comparison = "GreaterThanThreshold", threshold = 0.05, minutes = 5, missing = "missing"
      }
      storage = {
        why       = "Less than 5 GB of disk left, although it grows by itself"
        namespace = "AWS/RDS", metric = "FreeStorageSpace", dimensions = var.database_dimensions
        statistic = "Minimum", comparison = "LessThanThreshold", threshold = 5 * 1024 * 1024 * 1024, minutes = 5, missing = "missing"
      }
    },
    merge([for n, node in var.cache_nodes : {
      "cache-cpu-${n + 1}" = {
        why       = "Redis's one core is nearly busy: a larger node"
        namespace = "AWS/ElastiCache", metric = "EngineCPUUtilization", dimensions = { CacheClusterId = node }
        statistic = "Average", comparison = "GreaterThanThreshold", threshold = 80, minutes = 5, missing = "missing"
      }
      "cache-memory-${n + 1}" = {
        why       = "Redis's memory fills, though nothing is kept there: a subscriber can't keep up"
        namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", dimensions = { CacheClusterId = node }
        statistic = "Average", comparison = "GreaterThanThreshold", threshold = 80, minutes = 5, missing = "missing"
      }
      "cache-lag-${n + 1}" = {
        why       = "A replica of Redis is behind"
        namespace = "AWS/ElastiCache", metric = "ReplicationLag", dimensions = { CacheClusterId = node }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 5, minutes = 5, missing = "notBreaching"
      }
    }]...),
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = each.value.why

  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}
