output "queue_url" {
  description = "Where to send events"
  value       = aws_sqs_queue.events.id
}

output "queue_arn" {
  description = "The queue's ARN"
  value       = aws_sqs_queue.events.arn
}

output "queue_name" {
  description = "The queue, as CloudWatch knows it"
  value       = aws_sqs_queue.events.name
}

output "dead_letter_queue_url" {
  description = "Where messages go that can't be counted"
  value       = aws_sqs_queue.dead_letters.id
}

output "dead_letter_queue_arn" {
  description = "That queue's ARN"
  value       = aws_sqs_queue.dead_letters.arn
}

output "dead_letter_queue_name" {
  description = "That queue, as CloudWatch knows it"
  value       = aws_sqs_queue.dead_letters.name
}

output "topic_arn" {
  description = "Publish events here"
  value       = aws_sns_topic.events.arn
}

output "iot_rule_name" {
  description = "What listens to livetally/events/#"
  value       = aws_iot_topic_rule.events.name
}
