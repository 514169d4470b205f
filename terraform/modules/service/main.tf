# The tasks: `web` behind the load balancer, `worker` at the queue and the archive, and `migrate`,
# which a deploy runs before the others get the new image.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  image = "${aws_ecr_repository.this.repository_url}:${var.image_tag}"

  tasks = {
    web = {
      command     = ["serve"]
      cpu         = var.web.cpu
      memory      = var.web.memory
      environment = merge(var.environment, var.web_environment)
      secrets     = var.secrets
    }
    worker = {
      command     = ["worker"]
      cpu         = var.worker.cpu
      memory      = var.worker.memory
      environment = merge(var.environment, var.worker_environment)
      secrets     = var.secrets
    }
    migrate = {
      command     = ["migrate"]
      cpu         = 256
      memory      = 512
      environment = merge(var.environment, var.migrate_environment)
      secrets     = var.migrate_secrets
    }
  }
}

# --- The image -----------------------------------------------------------------------------------

resource "aws_ecr_repository" "this" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deletion_protection

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "What was pushed without a tag goes after a day"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 1 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "30 images to roll back to"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 30 }
        action       = { type = "expire" }
      },
    ]
  })
}

# --- The cluster ---------------------------------------------------------------------------------

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }

  configuration {
    execute_command_configuration {
      kms_key_id = var.kms_key_arn
      logging    = "OVERRIDE"

      log_configuration {
        cloud_watch_encryption_enabled = true
        cloud_watch_log_group_name     = var.log_group_names["exec"]
      }
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

# --- What a task is ------------------------------------------------------------------------------

resource "aws_ecs_task_definition" "this" {
  for_each = local.tasks

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution[each.key].arn
  task_role_arn            = aws_iam_role.task[each.key].arn

  # Revisions stay (they cost nothing): ECS rolls back to the last one.
  skip_destroy = true

  runtime_platform {
    cpu_architecture        = "ARM64"
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([merge(
    {
      name       = each.key
      image      = local.image
      entryPoint = ["livetally"]
      command    = each.value.command
      essential  = true

      user       = "10001:10001"
      privileged = false
      # (ECS Exec's agent writes into the container: AWS has the one or the other.)
      readonlyRootFilesystem = !(var.exec_enabled && each.key != "migrate")
      linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
      stopTimeout            = var.stop_timeout_s

      environment = [for name, value in each.value.environment : { name = name, value = value }]
      secrets     = [for name, from in each.value.secrets : { name = name, valueFrom = from }]

      # Never waits for CloudWatch: lines that don't fit into 25 MB are dropped, requests are not.
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          "awslogs-group"         = var.log_group_names[each.key]
          "awslogs-region"        = data.aws_region.current.name
          "awslogs-stream-prefix" = each.key
          "mode"                  = "non-blocking"
          "max-buffer-size"       = "25m"
        }
      }
    },
    # What the one-off task has no use for.
    { for name, value in {
      portMappings = [{ containerPort = var.port, hostPort = var.port, protocol = "tcp" }]
      # Every viewer is an open file.
      ulimits = [{ name = "nofile", softLimit = 100000, hardLimit = 100000 }]
      healthCheck = {
        command     = ["CMD", "python", "-m", "livetally.ops.probe"]
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 60
      }
    } : name => value if each.key != "migrate" },
  )])

  lifecycle {
    precondition {
      condition     = var.drain_s + 17 < var.stop_timeout_s
      error_message = "A task drains ${var.drain_s} s after up to 17 s of flushing and answering, but ECS kills it ${var.stop_timeout_s} s after SIGTERM."
    }
  }
}

# --- Services ------------------------------------------------------------------------------------

resource "aws_ecs_service" "web" {
  name            = "web"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this["web"].arn
  desired_count   = var.web.min
  propagate_tags  = "SERVICE"

  enable_ecs_managed_tags           = true
  enable_execute_command            = var.exec_enabled
  health_check_grace_period_seconds = 60

  # Never fewer than there were; zones are kept level, also after one was away.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  availability_zone_rebalancing      = "ENABLED"

  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = 1
    weight            = 1
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = var.target_group_arn
    container_name   = "web"
    container_port   = var.port
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    enable      = true
    rollback    = true
    alarm_names = var.deployment_alarm_names.web
  }

  # Autoscaling's business from the first minute on.
  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [aws_ecs_cluster_capacity_providers.this, aws_iam_role_policy.execution]
}

resource "aws_ecs_service" "worker" {
  name            = "worker"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this["worker"].arn
  desired_count   = var.worker.min
  propagate_tags  = "SERVICE"

  enable_ecs_managed_tags = true
  enable_execute_command  = var.exec_enabled

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  availability_zone_rebalancing      = "ENABLED"

  # A worker that is taken away leaves its messages to the next one: Spot will do, but for the first.
  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = 1
    weight            = var.worker.spot ? 0 : 1
  }

  dynamic "capacity_provider_strategy" {
    for_each = var.worker.spot ? [1] : []

    content {
      capacity_provider = "FARGATE_SPOT"
      base              = 0
      weight            = 1
    }
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    enable      = true
    rollback    = true
    alarm_names = var.deployment_alarm_names.worker
  }

  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [aws_ecs_cluster_capacity_providers.this, aws_iam_role_policy.execution]
}
