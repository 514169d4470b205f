output "load_balancer_arn" {
  description = "The load balancer"
  value       = aws_lb.this.arn
}

output "load_balancer_dns_name" {
  description = "Where a domain that isn't in Route 53 must point to"
  value       = aws_lb.this.dns_name
}

output "load_balancer_dimension" {
  description = "The load balancer, as CloudWatch knows it"
  value       = aws_lb.this.arn_suffix
}

# Tasks may register once the load balancer forwards: hence from the listener.
output "target_group_arn" {
  description = "Where web tasks register"
  value       = aws_lb_listener.https.default_action[0].target_group_arn
}

output "target_group_dimension" {
  description = "The web tasks, as CloudWatch knows them"
  value       = aws_lb_target_group.web.arn_suffix
}

output "listener_arns" {
  description = "By protocol: https, http"
  value       = { https = aws_lb_listener.https.arn, http = aws_lb_listener.http.arn }
}

output "web_acl_arn" {
  description = "The web ACL at the load balancer"
  value       = aws_wafv2_web_acl.this.arn
}

output "cloudfront_web_acl_arn" {
  description = "The web ACL at CloudFront; null without"
  value       = one(aws_wafv2_web_acl.cloudfront[*].arn)
}

output "waf_log_group_name" {
  description = "What the web ACL blocked or counted"
  value       = aws_cloudwatch_log_group.waf.name
}

output "logs_bucket_name" {
  description = "Access and connection logs"
  value       = aws_s3_bucket.logs.id
}

output "pages_bucket_name" {
  description = "Where a deploy puts the page's files; null without CloudFront"
  value       = one(aws_s3_bucket.pages[*].id)
}

output "distribution_id" {
  description = "CloudFront's distribution; null without"
  value       = one(aws_cloudfront_distribution.this[*].id)
}
