output "repository_url" {
  description = "Where images are pushed"
  value       = aws_ecr_repository.this.repository_url
}

output "repository_arn" {
  description = "That repository's ARN"
  value       = aws_ecr_repository.this.arn
}

output "image" {
  description = "What the tasks run"
  value       = local.image
}

output "cluster_name" {
  description = "The ECS cluster"
  value       = aws_ecs_cluster.this.name
}

output "cluster_arn" {
  description = "Its ARN"
  value       = aws_ecs_cluster.this.arn
}

output "service_names" {
  description = "By task: web, worker"
  value       = { web = aws_ecs_service.web.name, worker = aws_ecs_service.worker.name }
}

output "service_arns" {
  description = "By task: web, worker"
  value       = { web = aws_ecs_service.web.id, worker = aws_ecs_service.worker.id }
}

output "task_definition_arns" {
  description = "By task: web, worker, migrate"
  value       = { for task, definition in aws_ecs_task_definition.this : task => definition.arn }
}

output "role_names" {
  description = "What a task itself may do by task (web, worker, migrate), and what ECS may do to start it (execution-web, …)"
  value       = merge({ for task, role in aws_iam_role.task : task => role.name }, { for task, role in aws_iam_role.execution : "execution-${task}" => role.name })
}

output "role_arns" {
  description = "What a task itself may do by task (web, worker, migrate), and what ECS may do to start it (execution-web, …)"
  value       = merge({ for task, role in aws_iam_role.task : task => role.arn }, { for task, role in aws_iam_role.execution : "execution-${task}" => role.arn })
}
