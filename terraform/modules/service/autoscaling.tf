# More tasks within a minute or two, fewer only after a quarter of an hour: every task that goes
# makes its viewers move.

locals {
  scaled = {
    web    = { service = aws_ecs_service.web.name, min = var.web.min, max = var.web.max }
    worker = { service = aws_ecs_service.worker.name, min = var.worker.min, max = var.worker.max }
  }
}

resource "aws_appautoscaling_target" "this" {
  for_each = local.scaled

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${each.value.service}"
  min_capacity       = each.value.min
  max_capacity       = each.value.max
}

resource "aws_appautoscaling_policy" "cpu" {
  for_each = aws_appautoscaling_target.this

  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  scalable_dimension = each.value.scalable_dimension
  resource_id        = each.value.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_out_cooldown = 60
    scale_in_cooldown  = 900

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_appautoscaling_policy" "requests" {
  name               = "requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this["web"].service_namespace
  scalable_dimension = aws_appautoscaling_target.this["web"].scalable_dimension
  resource_id        = aws_appautoscaling_target.this["web"].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.web.requests_per_minute
    scale_out_cooldown = 60
    scale_in_cooldown  = 900

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = var.request_count_label
    }
  }
}

# A websocket is one request, however long it lives: only the tasks know how many they have. Each
# says so in its log (EMF), and CloudWatch's average over them is viewers a task.
resource "aws_appautoscaling_policy" "viewers" {
  name               = "viewers"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this["web"].service_namespace
  scalable_dimension = aws_appautoscaling_target.this["web"].scalable_dimension
  resource_id        = aws_appautoscaling_target.this["web"].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.web.viewers
    scale_out_cooldown = 60
    scale_in_cooldown  = 900

    customized_metric_specification {
      namespace   = var.metric_namespace
      metric_name = "Viewers"
      statistic   = "Average"
    }
  }
}
