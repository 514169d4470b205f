output "role_arns" {
  description = "For GitHub's variables: plan, apply"
  value       = { for use, role in aws_iam_role.github : use => role.arn }
}
